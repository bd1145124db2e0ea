//! Who a message is about, apart from its body. `messaging` maps these to AMQP properties and
//! headers; bodies stay JSON bytes, so that nothing in between has to understand them.

use crate::{Command, Event, SagaId};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use time::OffsetDateTime;

/// Which half of a step: the action, or the compensation that undoes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Leg {
    Action,
    Compensation,
}

impl Leg {
    pub fn as_str(self) -> &'static str {
        match self {
            Leg::Action => "action",
            Leg::Compensation => "compensation",
        }
    }
}

/// How a participant answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The effect is there, durably.
    Done,
    /// A business no: nothing was done, and nothing will be.
    Refused,
    /// A technical could-not, after all retries: it may or may not have happened.
    Faulted,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Done => "done",
            Outcome::Refused => "refused",
            Outcome::Faulted => "faulted",
        }
    }
}

/// A word that is none of those allowed, as found in a header or a column.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is none of {allowed}")]
pub struct UnknownWord {
    found: String,
    allowed: &'static str,
}

impl FromStr for Leg {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "action" => Ok(Leg::Action),
            "compensation" => Ok(Leg::Compensation),
            _ => Err(UnknownWord { found: text.to_owned(), allowed: "action, compensation" }),
        }
    }
}

impl FromStr for Outcome {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "done" => Ok(Outcome::Done),
            "refused" => Ok(Outcome::Refused),
            "faulted" => Ok(Outcome::Faulted),
            _ => Err(UnknownWord { found: text.to_owned(), allowed: "done, refused, faulted" }),
        }
    }
}

impl fmt::Display for Leg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A command on its way to a participant.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandEnvelope {
    pub saga: SagaId,
    /// The definition's name: `place-order`.
    pub definition: String,
    pub step: String,
    pub leg: Leg,
    /// From 1. Every attempt of a leg is the same request; the number is for people and metrics.
    pub attempt: u16,
    /// The AMQP `type`: `inventory.reserve-stock`.
    pub kind: String,
    /// When the orchestrator stops waiting for this attempt. Retries stay before it.
    pub deadline: OffsetDateTime,
    /// W3C trace context, handed on as received.
    pub traceparent: Option<String>,
    /// JSON.
    pub body: Vec<u8>,
}

impl CommandEnvelope {
    /// `saga/step/leg/attempt`: the same attempt sent twice has the same id.
    pub fn message_id(&self) -> String {
        format!("{}/{}", self.saga.key(&self.step, self.leg), self.attempt)
    }

    /// Reads the body as `C`. The caller has matched [`Command::TYPE`] with [`Self::kind`].
    pub fn decode<C: Command>(&self) -> Result<C, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }
}

/// A participant's answer on its way to the orchestrator.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplyEnvelope {
    pub saga: SagaId,
    pub definition: String,
    pub step: String,
    pub leg: Leg,
    /// Of the command answered.
    pub attempt: u16,
    pub outcome: Outcome,
    /// Of the command answered: `inventory.reserve-stock`.
    pub kind: String,
    /// The login of the participant that answers, checked by the broker when present.
    pub from: Option<String>,
    pub traceparent: Option<String>,
    /// JSON: the reply, the refusal, or `{"error": "…"}` for a fault.
    pub body: Vec<u8>,
}

impl ReplyEnvelope {
    /// The answer to `command`.
    pub fn to(command: &CommandEnvelope, outcome: Outcome, body: Vec<u8>) -> Self {
        ReplyEnvelope {
            saga: command.saga,
            definition: command.definition.clone(),
            step: command.step.clone(),
            leg: command.leg,
            attempt: command.attempt,
            outcome,
            kind: command.kind.clone(),
            from: None,
            traceparent: command.traceparent.clone(),
            body,
        }
    }

    pub fn message_id(&self) -> String {
        format!("{}/{}/reply", self.saga.key(&self.step, self.leg), self.attempt)
    }
}

/// A request to begin a saga, on its way to the orchestrator.
#[derive(Clone, Debug, PartialEq)]
pub struct StartEnvelope {
    pub saga: SagaId,
    pub definition: String,
    pub traceparent: Option<String>,
    /// JSON: the definition's data.
    pub body: Vec<u8>,
}

/// Something that has become true, on its way to whoever listens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventEnvelope {
    /// Deterministic, so that an event told twice is recognised: `saga/order.confirmed`.
    pub id: String,
    pub saga: SagaId,
    /// The AMQP `type` and routing key: `order.confirmed`.
    pub kind: String,
    pub traceparent: Option<String>,
    pub body: serde_json::Value,
}

impl EventEnvelope {
    /// At most one event of a type per saga; that is what makes the id deterministic.
    pub fn of<E: Event>(saga: SagaId, event: &E) -> Result<Self, serde_json::Error> {
        Ok(EventEnvelope {
            id: format!("{saga}/{}", E::TYPE),
            saga,
            kind: E::TYPE.to_owned(),
            traceparent: None,
            body: serde_json::to_value(event)?,
        })
    }

    pub fn decode<E: Event>(&self) -> Result<E, serde_json::Error> {
        E::deserialize(&self.body)
    }
}
