//! Shipping books parcels with a carrier, and cancels them.
//!
//! The carrier's books are the truth. Whatever may have been asked there without an answer is
//! settled there, by the key it was asked under, before this service says that it is undone.

pub mod api;
mod book;
pub mod carrier;
mod shipment;

pub use shipment::Shipping;

pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations/shipping");
