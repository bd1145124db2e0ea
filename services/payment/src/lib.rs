//! Payment sets money aside with a gateway, takes it, lets it go and gives it back.
//!
//! The gateway's books are the truth. Whatever may have been asked there without an answer is
//! settled there, by the key it was asked under, before this service says that it is undone.

pub mod api;
mod book;
pub mod gateway;
mod payment;

pub use payment::Payment;

pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations/payment");
