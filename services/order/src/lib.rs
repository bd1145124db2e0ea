//! The order service takes orders in by HTTP, shows them, and is a participant of their sagas:
//! it opens, confirms and cancels what it took in. An order's id is its saga's id.

pub mod api;
pub mod at_risk;
mod handlers;
mod idempotency;
mod intake;
pub mod orchestrator;
pub mod order;
pub mod retelling;
pub mod starts;
pub mod submission;
mod withdrawal;

pub use intake::Intake;

use contracts::order::{CancelOrder, ConfirmOrder, OpenOrder};
use worker::Worker;

/// Tables, and the sample price list.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations/order");

/// The participant.
#[derive(Clone, Copy, Debug)]
pub struct Orders;

/// The participant with all that it handles.
pub fn worker() -> Worker<Orders> {
    Worker::new("order", Orders)
        .pair::<OpenOrder, CancelOrder>()
        .set_wise::<OpenOrder>()
        .set_wise::<CancelOrder>()
        .retriable::<ConfirmOrder>()
        .set_wise::<ConfirmOrder>()
}
