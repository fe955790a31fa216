//! The database as the modules see it: one connection for a request, writes to the primary, reads to a replica
//! that is fresh enough. I/O: PostgreSQL.
//!
//! | file | what it owns |
//! |---|---|
//! | `args` | what can be set, and its limits |
//! | `session` | one connection and what is remembered of it |
//! | `pool` | a bounded number of sessions, and what a wait for one costs |
//! | `query` | a statement with a name, and how long each run of it takes |
//! | `transaction` | a write, and where in the log it ended |
//! | `steps` | the steps of the schema, and whether a server has them |
//! | `lag` | how far a replica is behind, in time |
//! | `observed` | what was last seen of both servers |
//! | `replicas` | which reads a replica may answer |
//! | `servers` | the primary and its replicas, for everybody else |
//! | `watch` | looking at both servers a few times a second |
//! | `migrations` | the schema, brought up to date by whichever pod comes first |
//! | `sizes` | pools as large as they are told to be |
//! | `read_host` | replicas where they are told to be |
//! | `follow` | both, while the process runs |
//! | `connections` | how many connections the primary admits, and who has them |
//! | `statements` | the statements that cost the server most |
//! | `open` | beginning all of that |

mod args;
mod connections;
mod error;
mod follow;
mod lag;
mod migrations;
mod observed;
mod open;
mod pool;
mod query;
mod read_host;
mod replicas;
mod servers;
mod session;
mod sizes;
mod statements;
mod steps;
mod transaction;
mod watch;

pub use args::DatabaseArgs;
pub(crate) use error::DatabaseError;
pub use error::OpenError;
pub(crate) use open::open;
pub(crate) use pool::Connection;
pub(crate) use query::Query;
pub(crate) use servers::Database;
pub(crate) use steps::Step;
pub(crate) use transaction::Transaction;
