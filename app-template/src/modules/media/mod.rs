//! Pictures of what can be bought. I/O: PostgreSQL, and the object store.

mod connector;
mod kind;
mod objects;
mod routes;
mod store;

pub(crate) use objects::Media;
pub use objects::MediaError;
pub(super) use routes::routes;
