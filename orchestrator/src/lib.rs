//! The orchestrator: drives every saga from the journal in Postgres, through commands and replies
//! on RabbitMQ. Several of them at once are correct: row locks and the pure core serialise what
//! happens to one saga, whoever receives it.
//!
//! - [`engine`] stores what the core decides, a batch at a time; [`journal`] is its SQL.
//! - [`intake`] feeds it from the queues, [`wakeups`] from the clock, [`api`] from HTTP.
//! - [`admission`] lets starts in while sagas in flight are few; [`retention`] removes old ended ones.
//! - [`sending`] gets commands out, confirmed; only then is a delivery acknowledged. So the
//!   unacknowledged delivery is the outbox, and the wake-up in the row is the second one.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod admission;
pub mod api;
pub mod audit;
pub mod config;
pub mod console;
pub mod dead_letters;
pub mod desk;
pub mod duration;
pub mod engine;
pub mod gauges;
pub mod intake;
pub mod journal;
pub mod operator;
pub mod record;
pub mod replay;
pub mod retention;
pub mod sending;
pub mod series;
pub mod serve;
pub mod stored;
pub mod tally;
mod trail;
pub mod wakeups;

/// The journal's tables.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../migrations/orchestrator");
