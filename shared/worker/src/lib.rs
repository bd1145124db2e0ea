//! The participant SDK. A service says what it does for a command, in SQL or by a call to the
//! outside; everything that makes it safe to do so in a saga is here.
//!
//! ```no_run
//! use contracts::{Command, Never, SagaId};
//! use serde::{Deserialize, Serialize};
//! use worker::{Handle, NotDone::Refused, Outcome, Tx, Worker};
//!
//! #[derive(Debug, Serialize, Deserialize)]
//! struct Reserve { sku: String, quantity: i32 }
//! #[derive(Debug, Serialize, Deserialize)]
//! struct Release { sku: String, quantity: i32 }
//!
//! impl Command for Reserve {
//!     const TYPE: &'static str = "stock.reserve";
//!     type Reply = ();
//!     type Refusal = String;
//! }
//! impl Command for Release {
//!     const TYPE: &'static str = "stock.release";
//!     type Reply = ();
//!     type Refusal = Never; // an undo cannot be refused
//! }
//!
//! struct Stock;
//!
//! impl Handle<Reserve> for Stock {
//!     async fn handle(&self, tx: &mut Tx<'_>, command: Reserve) -> Outcome<Reserve> {
//!         let taken = sqlx::query("UPDATE stock SET free = free - $2 WHERE sku = $1 AND free >= $2")
//!             .bind(&command.sku)
//!             .bind(command.quantity)
//!             .execute(tx.sql())
//!             .await?; // any `?` is a fault: undone, tried again, at last dead-lettered
//!         match taken.rows_affected() {
//!             0 => Err(Refused(format!("no {} left", command.sku))),
//!             _ => Ok(()),
//!         }
//!     }
//! }
//! impl Handle<Release> for Stock {
//!     async fn handle(&self, tx: &mut Tx<'_>, command: Release) -> Outcome<Release> {
//!         sqlx::query("UPDATE stock SET free = free + $2 WHERE sku = $1")
//!             .bind(&command.sku)
//!             .bind(command.quantity)
//!             .execute(tx.sql())
//!             .await?;
//!         Ok(())
//!     }
//! }
//!
//! static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate::Migrator::DEFAULT;
//!
//! #[tokio::main]
//! async fn main() -> anyhow::Result<()> {
//!     Worker::from_env("stock", Stock)?
//!         .pair::<Reserve, Release>()
//!         .migrations(&MIGRATIONS)
//!         .port(8010)
//!         .run_until_signal()
//!         .await?;
//!     Ok(())
//! }
//! ```
//!
//! What the author is owed in return:
//! - **Once.** The inbox row, the handler's writes, the reply and the events commit together. A
//!   command that comes again gets the stored reply, and the events are told again.
//! - **In either order.** A compensation that comes before its action leaves a tombstone; the
//!   action is refused when it comes ([`barrier`]).
//! - **A refusal leaves nothing**, but is remembered. **A fault leaves nothing**, and is tried
//!   again: at once, later, until its time is up; then it is a dead letter ([`fate`]).
//! - **Patience.** While the database or another dependency is away the service takes no work,
//!   and no command pays for it.
//! - **Nothing is acknowledged** before the replies, events, retries and dead letters that follow
//!   from it are confirmed by the broker. Everything survives a kill at any point.

mod answered;
pub mod barrier;
mod batch;
mod commands;
mod context;
mod database;
mod desk;
mod disposal;
mod erased;
mod events;
pub mod fate;
mod gates;
mod handle;
mod listen;
mod outcome;
mod outside;
mod perform;
mod phases;
mod retelling;
mod savepoint;
pub mod series;
mod serve;
mod settings;
mod shortcut;
pub mod testing;
mod together;
mod tx;
mod worker;

pub use answered::Answered;
pub use context::Context;
pub use handle::{CallKey, Called, Handle, HandleMany, Listen, ListenMany, Outside, Replied};
pub use outcome::{Fault, NotDone, Outcome};
pub use settings::Settings;
pub use tx::{ManyTx, Tx};
pub use worker::{Error, Worker};
