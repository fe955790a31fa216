//! From what should be to what is: every write that the operator sends, each inside the lease. I/O out.

pub mod app;
pub mod attempts;
pub mod children;
mod edit;
pub mod events;
pub mod failing;
pub mod fence;
pub mod memory;
pub mod record;
pub mod replicas;
pub mod scale;
pub mod status;
pub mod writer;
