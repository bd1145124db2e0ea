//! Notification tells customers what became of their orders: by e-mail, text message and push.
//!
//! Told at least once, with a key that stays the same, so that a receiver can drop a double.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod api;
mod book;
pub mod channel;
pub mod mail;
pub mod message;
mod notification;
pub mod settings;

pub use notification::Notification;

pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations/notification");
