//! What travels between the orchestrator and the participants: ids, envelopes and the typed
//! messages of every participant. Plain data; nothing here knows who sends or who handles.
//!
//! A *command* asks a participant to do one *leg* (the action or the compensation) of one *step*
//! of one *saga*. Its *reply* says `done`, `refused` (a business no: nothing was done) or
//! `faulted` (a technical could-not: it may or may not have happened). An *event* tells whoever
//! listens what has become true.

mod command;
mod envelope;
mod event;
mod ids;
mod misfit;
mod money;

pub mod inventory;
pub mod notification;
pub mod order;
pub mod payment;
pub mod shipping;

pub use command::{Command, Never, participant_of};
pub use envelope::{CommandEnvelope, EventEnvelope, Leg, Outcome, ReplyEnvelope, StartEnvelope};
pub use event::Event;
pub use ids::SagaId;
pub use misfit::without_values;
pub use money::{Currency, Money};

/// The version of the envelope and of every body in this crate, sent as the `schema-version`
/// header. A participant dead-letters a version that it does not know.
pub const SCHEMA_VERSION: u16 = 1;
