//! Postgres, as everyone here uses it: a pool with limits on everything, migrations, and the
//! tables that participants share (inbox, outbox, events seen).
//!
//! A database error is one of three kinds, and the kind decides what happens to the message at
//! hand ([`failure`]): the database is away (wait for it, nothing is anyone's fault), the
//! transaction was unlucky (do it again), or the statement itself is at fault.

pub mod failure;
pub mod inbox;
mod lanes;
pub mod migrate;
pub mod outbox;
mod patience;
mod pool;
mod problem;
pub mod relay;
pub mod retold;
pub mod seen;

pub use failure::{is_infrastructure, is_retriable};
pub use lanes::{Lane, Lanes};
pub use patience::{in_time, within};
pub use pool::{Error, lanes, options, pool};
pub use problem::problem;

/// The tables of every participant, as the first migration of each service repeats them.
pub const PARTICIPANT_SQL: &str = include_str!("../participant.sql");

/// The table of a service that asks for what it may have missed, as its own migration repeats it.
pub const RETOLD_SQL: &str = include_str!("../retold.sql");
