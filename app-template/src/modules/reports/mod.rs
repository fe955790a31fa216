//! What was sold, added up by a worker: too slow for a request. I/O: PostgreSQL.

mod make;
mod routes;
mod store;

pub(super) use make::MAKE;
pub(super) use routes::routes;
