//! Who bought what, and whether it is paid. I/O: PostgreSQL, and the payment provider.

mod charge;
mod place;
mod routes;
mod store;

pub(super) use charge::CHARGE;
pub(super) use routes::routes;
pub(super) use store::{Sale, sales};
