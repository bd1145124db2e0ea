//! What the SDK promises the author of a service, on a real Postgres and a real RabbitMQ.

#![allow(clippy::unwrap_used)]

mod batches;
mod broker;
mod events;
mod inbox;
mod outside;
mod retelling;
mod shop;
mod till;
