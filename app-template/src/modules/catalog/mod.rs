//! What can be bought. I/O: PostgreSQL.

mod routes;
mod store;

pub(super) use routes::routes;
pub(super) use store::{names, offers};
