//! What can be bought. I/O: PostgreSQL, Redis.

mod cached;
mod routes;
mod store;

pub(crate) use cached::Products;
pub(super) use routes::routes;
pub(super) use store::{names, offers};
