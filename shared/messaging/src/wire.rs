//! Envelopes to messages and back: which field travels as which property or header.

use crate::{
    COMMANDS, DeadReason, EVENTS, Headers, Incoming, Outgoing, Poison, Properties, REPLIES,
    REPLIES_QUEUE, START, STARTS_QUEUE, body, command_queue, departure::Departure,
};
use contracts::{
    CommandEnvelope, EventEnvelope, Leg, ReplyEnvelope, SCHEMA_VERSION, SagaId, StartEnvelope,
    participant_of,
};
use std::{fmt::Display, str::FromStr};
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

pub(crate) const DEFINITION: &str = "saga-definition";
pub(crate) const STEP: &str = "saga-step";
pub(crate) const LEG: &str = "saga-leg";
pub(crate) const ATTEMPT: &str = "saga-attempt";
const DEADLINE: &str = "saga-deadline";
const VERSION: &str = "schema-version";
pub(crate) const TRACE: &str = "traceparent";
pub(crate) const OUTCOME: &str = "outcome";

impl Outgoing {
    pub fn command(command: &CommandEnvelope) -> Outgoing {
        let headers = step(&command.definition, &command.step, command.leg, command.attempt)
            .with(DEADLINE, instant(command.deadline));
        Outgoing {
            exchange: COMMANDS.to_owned(),
            key: command_queue(participant_of(&command.kind)),
            properties: Properties {
                reply_to: Some(REPLIES_QUEUE.to_owned()),
                ..about(command.saga, command.message_id(), &command.kind)
            },
            headers: traced(headers, &command.traceparent),
            body: command.body.clone(),
            departure: Departure::default(),
        }
    }

    /// Until then a command is waited for.
    pub(crate) fn give_until(&mut self, deadline: OffsetDateTime) {
        self.headers.set(DEADLINE, instant(deadline));
    }

    pub fn reply(reply: &ReplyEnvelope) -> Outgoing {
        let headers = step(&reply.definition, &reply.step, reply.leg, reply.attempt)
            .with(OUTCOME, reply.outcome.as_str());
        Outgoing {
            exchange: REPLIES.to_owned(),
            key: REPLIES_QUEUE.to_owned(),
            properties: Properties {
                user_id: reply.from.clone(),
                ..about(reply.saga, reply.message_id(), &reply.kind)
            },
            headers: traced(headers, &reply.traceparent),
            body: reply.body.clone(),
            departure: Departure::default(),
        }
    }

    pub fn start(start: &StartEnvelope) -> Outgoing {
        let headers = versioned().with(DEFINITION, start.definition.as_str());
        Outgoing {
            exchange: COMMANDS.to_owned(),
            key: STARTS_QUEUE.to_owned(),
            properties: about(start.saga, format!("{}/start", start.saga), START),
            headers: traced(headers, &start.traceparent),
            body: start.body.clone(),
            departure: Departure::default(),
        }
    }

    pub fn event(event: &EventEnvelope) -> Outgoing {
        Outgoing {
            exchange: EVENTS.to_owned(),
            key: event.kind.clone(),
            properties: about(event.saga, event.id.clone(), &event.kind),
            headers: traced(versioned(), &event.traceparent),
            body: event.body.to_string().into_bytes(),
            departure: Departure::default(),
        }
    }
}

impl Incoming {
    pub fn command(&self) -> Result<CommandEnvelope, Poison> {
        self.readable()?;
        Ok(CommandEnvelope {
            saga: self.saga()?,
            definition: self.header(DEFINITION)?,
            step: self.header(STEP)?,
            leg: self.word(LEG)?,
            attempt: self.number(ATTEMPT)?,
            kind: self.named()?,
            deadline: self.instant(DEADLINE)?,
            traceparent: self.trace(),
            body: self.sound()?,
        })
    }

    pub fn reply(&self) -> Result<ReplyEnvelope, Poison> {
        self.readable()?;
        Ok(ReplyEnvelope {
            saga: self.saga()?,
            definition: self.header(DEFINITION)?,
            step: self.header(STEP)?,
            leg: self.word(LEG)?,
            attempt: self.number(ATTEMPT)?,
            outcome: self.word(OUTCOME)?,
            kind: self.named()?,
            from: self.properties.user_id.clone(),
            traceparent: self.trace(),
            body: self.sound()?,
        })
    }

    pub fn start(&self) -> Result<StartEnvelope, Poison> {
        self.readable()?;
        let kind = self.named()?;
        if kind != START {
            let error = format!("the type is {kind:?}, and only {START:?} starts a saga");
            return Err(Poison { reason: DeadReason::UnknownType, error });
        }
        Ok(StartEnvelope {
            saga: self.saga()?,
            definition: self.header(DEFINITION)?,
            traceparent: self.trace(),
            body: self.sound()?,
        })
    }

    pub fn event(&self) -> Result<EventEnvelope, Poison> {
        self.readable()?;
        if self.message_id().is_empty() {
            return Err(bad_header("message_id", "is missing"));
        }
        let body = self.sound()?;
        Ok(EventEnvelope {
            id: self.message_id().to_owned(),
            saga: self.saga()?,
            kind: self.named()?,
            traceparent: self.trace(),
            body: serde_json::from_slice(&body).map_err(not_json)?,
        })
    }

    /// Size and version come first: neither type nor body of another version mean anything here.
    fn readable(&self) -> Result<(), Poison> {
        if self.is_pack() {
            let error = "a pack of messages that cannot be read".to_owned();
            return Err(Poison { reason: DeadReason::NotJson, error });
        }
        let size = self.body.len();
        if size > body::BODY_LIMIT {
            let error = format!("{size} bytes, and {} are the limit", body::BODY_LIMIT);
            return Err(Poison { reason: DeadReason::TooBig, error });
        }
        match self.number::<i64>(VERSION)? {
            version if version == i64::from(SCHEMA_VERSION) => Ok(()),
            version => {
                let error = format!("version {version}, and only {SCHEMA_VERSION} is known");
                Err(Poison { reason: DeadReason::SchemaVersion, error })
            }
        }
    }

    fn sound(&self) -> Result<Vec<u8>, Poison> {
        body::check(&self.body).map_err(not_json)?;
        Ok(self.body.clone())
    }

    fn named(&self) -> Result<String, Poison> {
        if self.kind().is_empty() {
            let error = "the type is missing".to_owned();
            return Err(Poison { reason: DeadReason::UnknownType, error });
        }
        clean("type", self.kind())
    }

    fn saga(&self) -> Result<SagaId, Poison> {
        self.correlation_id().parse().map_err(|error| bad_header("correlation_id", error))
    }

    fn header(&self, name: &str) -> Result<String, Poison> {
        match self.headers.text(name) {
            Some("") => Err(bad_header(name, "is empty")),
            Some(text) => clean(name, text),
            None if self.headers.contains(name) => Err(bad_header(name, "is no text")),
            None => Err(bad_header(name, "is missing")),
        }
    }

    fn word<T: FromStr<Err: Display>>(&self, name: &str) -> Result<T, Poison> {
        self.header(name)?.parse().map_err(|error| bad_header(name, error))
    }

    fn number<T: TryFrom<i64>>(&self, name: &str) -> Result<T, Poison> {
        let number =
            self.headers.int(name).ok_or_else(|| bad_header(name, "is no whole number"))?;
        T::try_from(number).map_err(|_| bad_header(name, format!("{number} is out of range")))
    }

    fn instant(&self, name: &str) -> Result<OffsetDateTime, Poison> {
        parse_instant(&self.header(name)?).ok_or_else(|| bad_header(name, "is no RFC 3339 time"))
    }

    /// A trace is worth no dead letter: one that cannot be read is left out.
    fn trace(&self) -> Option<String> {
        self.headers.text(TRACE).filter(|text| !text.contains('\0')).map(str::to_owned)
    }
}

/// Milliseconds, UTC: `2026-03-01T12:30:00.250Z`.
pub(crate) fn instant(at: OffsetDateTime) -> String {
    let at = at.to_offset(UtcOffset::UTC);
    let (date, time) = (at.date(), at.time());
    format!(
        "{date}T{:02}:{:02}:{:02}.{:03}Z",
        time.hour(),
        time.minute(),
        time.second(),
        at.millisecond()
    )
}

pub(crate) fn parse_instant(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok().map(|at| at.to_offset(UtcOffset::UTC))
}

fn about(saga: SagaId, message_id: String, kind: &str) -> Properties {
    Properties {
        message_id: Some(message_id),
        correlation_id: Some(saga.to_string()),
        kind: Some(kind.to_owned()),
        ..Properties::default()
    }
}

fn versioned() -> Headers {
    Headers::default().with(VERSION, i64::from(SCHEMA_VERSION))
}

fn step(definition: &str, step: &str, leg: Leg, attempt: u16) -> Headers {
    versioned()
        .with(DEFINITION, definition)
        .with(STEP, step)
        .with(LEG, leg.as_str())
        .with(ATTEMPT, i64::from(attempt))
}

fn traced(headers: Headers, traceparent: &Option<String>) -> Headers {
    match traceparent {
        Some(trace) => headers.with(TRACE, trace.as_str()),
        None => headers,
    }
}

/// Postgres keeps no NUL in text, and a name has no use for one.
fn clean(name: &str, text: &str) -> Result<String, Poison> {
    if text.contains('\0') {
        return Err(bad_header(name, "holds a NUL character"));
    }
    Ok(text.to_owned())
}

fn bad_header(name: &str, why: impl Display) -> Poison {
    Poison { reason: DeadReason::BadHeader, error: format!("{name}: {why}") }
}

fn not_json(error: serde_json::Error) -> Poison {
    Poison { reason: DeadReason::NotJson, error: error.to_string() }
}
