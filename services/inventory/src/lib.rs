//! Inventory knows what is free, holds stock for an order until it is let go, and sees it off when
//! the order is confirmed.

pub mod api;
mod handlers;
pub mod hold;
pub mod product;
mod restock;
mod stock;

use contracts::{
    inventory::{ReleaseStock, ReserveStock},
    order::OrderConfirmed,
};
use worker::Worker;

/// Tables, and the sample catalogue.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations/inventory");

/// The participant.
#[derive(Clone, Copy, Debug)]
pub struct Inventory;

/// The participant with all that it handles and listens to.
pub fn worker() -> Worker<Inventory> {
    Worker::new("inventory", Inventory)
        .pair::<ReserveStock, ReleaseStock>()
        .set_wise::<ReserveStock>()
        .set_wise::<ReleaseStock>()
        .on_many::<OrderConfirmed>()
}
