//! Everything this system says to RabbitMQ, and the only crate that knows lapin.
//!
//! - [`Amqp`] is where the broker is; [`prepare`] waits for it and declares a [`Topology`].
//! - [`Publisher`] sends [`Outgoing`] messages: persistent, mandatory, confirmed.
//! - [`Consumer`] hands out [`Delivery`]s in batches; each one is acknowledged, handed back or rejected.
//! - [`Outgoing`] and [`Incoming`] are the wire: who a message is about travels in properties and
//!   headers, the body is the payload alone. `wire` maps them to and from the envelopes of `contracts`.
//!
//! Rules kept here, each found the hard way:
//! - Reconnecting is ours. The library's own recovery stays off, because it hides which deliveries
//!   and confirms belong to the connection that is gone.
//! - Every wait for the broker has a limit: a confirm can be missing for ever on a healthy connection.
//! - A nack, a missing confirm or an error throws channel and connection away: all three were seen
//!   to stick to a channel. What was not confirmed is not sent.
//! - An unroutable message is confirmed like any other; only the returned copy tells.
//! - Publishing and consuming use separate connections: the broker blocks publishers when it runs
//!   out of memory, and must not block consumers with them.

mod address;
mod body;
mod connection;
mod consumer;
mod dead_letter;
mod declare;
mod delivery;
mod departure;
mod error;
#[cfg(test)]
mod golden;
mod headers;
mod incoming;
mod link;
mod names;
mod outgoing;
mod pack;
mod publisher;
pub mod series;
mod session;
mod settlement;
pub mod spans;
mod survey;
mod topology;
mod wire;

pub use address::{Amqp, BadAddress};
pub use body::BODY_LIMIT;
pub use consumer::Consumer;
pub use dead_letter::{DeadReason, Death, UnknownReason};
pub use declare::prepare;
pub use delivery::{Delivery, Receipt};
pub use error::Error;
pub use headers::{HeaderValue, Headers};
pub use incoming::{Incoming, Poison};
pub use names::{
    COMMANDS, DEAD_LETTERS, EVENTS, REPLIES, REPLIES_QUEUE, START, STARTS_QUEUE, Tier,
    command_queue, dead_letter_queue, event_queue, retry_queue,
};
pub use outgoing::{Outgoing, Properties};
pub use publisher::{NotSent, Publisher, Stopped, Unroutable};
pub use survey::{Depth, survey};
pub use topology::Topology;
