//! Analytics listens to what becomes of orders and keeps count.

pub mod api;
mod handlers;
mod ledger;
pub mod summary;

use contracts::order::{OrderCancelled, OrderConfirmed, OrderCreated};
use worker::Worker;

pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations/analytics");

/// The subscriber.
#[derive(Clone, Copy, Debug)]
pub struct Analytics;

/// The subscriber with all that it listens to.
pub fn worker() -> Worker<Analytics> {
    Worker::new("analytics", Analytics)
        .on_many::<OrderCreated>()
        .on_many::<OrderConfirmed>()
        .on_many::<OrderCancelled>()
}
