//! Spans of messages and of the transactions that they are handled in, named and described as
//! OpenTelemetry's conventions for messaging and databases have it. Where many messages share a
//! transaction each has a span of its own for it, with the times of the one that there was.

use crate::{
    Headers, Incoming, Properties, START,
    departure::FIRST_TRACE,
    wire::{ATTEMPT, DEFINITION, LEG, OUTCOME, STEP, TRACE},
};
use contracts::{CommandEnvelope, EventEnvelope, ReplyEnvelope, SagaId};
use runtime::trace::{self, Context, Kind, Span};
use std::time::SystemTime;

/// Of a `traceparent` that is handed on.
pub fn context(traceparent: Option<&str>) -> Option<Context> {
    match trace::is_on() {
        true => traceparent.and_then(Context::parse),
        false => None,
    }
}

/// A message that is being handled, from now until the span is dropped. It is below the message's
/// own span; `otherwise` when it carries none.
pub fn process(incoming: &Incoming, otherwise: Option<Context>) -> Span {
    if !trace::is_on() {
        return Span::default();
    }
    let carried = context(incoming.headers.text(TRACE));
    let parent = carried.or(otherwise);
    let name = || format!("process {}", incoming.queue);
    // What a saga begins with is the parent of all that it leads to, so that it must not get lost
    // with a process that is killed: handled again it is the same span.
    let mut span = match parent.filter(|_| incoming.kind() == START) {
        Some(parent) if parent.sampled => {
            let own = parent.named(&[&incoming.queue, incoming.message_id()]);
            Span::with_context(Kind::Consumer, own, parent, name)
        }
        _ => Span::begin(Kind::Consumer, parent, name),
    };
    if span.is_recorded() {
        let Incoming { exchange, key, queue, properties, headers, .. } = incoming;
        of_message(&mut span, "process", exchange, key, queue, properties);
        of_headers(&mut span, headers);
        let first = headers.text(FIRST_TRACE).and_then(Context::parse);
        span.link(first.filter(|first| Some(*first) != parent));
    }
    span
}

/// What the saga, and as far as there is one the step, is that a span belongs to.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    saga: SagaId,
    step: Option<(&'a str, &'static str, u16)>,
}

impl<'a> About<'a> {
    pub fn saga(saga: SagaId) -> Self {
        About { saga, step: None }
    }

    pub fn set(self, span: &mut Span) {
        if !span.is_recorded() {
            return;
        }
        span.set("saga.id", &self.saga.to_string());
        if let Some((step, leg, attempt)) = self.step {
            span.set("saga.step", step);
            span.set("saga.leg", leg);
            span.set("saga.attempt", attempt);
        }
    }
}

impl<'a> From<&'a CommandEnvelope> for About<'a> {
    fn from(command: &'a CommandEnvelope) -> Self {
        let CommandEnvelope { saga, step, leg, attempt, .. } = command;
        About { saga: *saga, step: Some((step, leg.as_str(), *attempt)) }
    }
}

impl<'a> From<&'a ReplyEnvelope> for About<'a> {
    fn from(reply: &'a ReplyEnvelope) -> Self {
        let ReplyEnvelope { saga, step, leg, attempt, .. } = reply;
        About { saga: *saga, step: Some((step, leg.as_str(), *attempt)) }
    }
}

impl<'a> From<&'a EventEnvelope> for About<'a> {
    fn from(event: &'a EventEnvelope) -> Self {
        About::saga(event.saga)
    }
}

/// A transaction that many share, while it is under way.
#[derive(Clone, Copy, Debug)]
pub struct Transaction {
    database: &'static str,
    /// What it is for, where there are several.
    phase: Option<&'static str>,
    began: Option<SystemTime>,
}

impl Transaction {
    /// On the database of the service of that name.
    pub fn begin(database: &'static str) -> Self {
        let began = trace::is_on().then(SystemTime::now);
        Transaction { database, phase: None, began }
    }

    #[must_use]
    pub fn phase(self, phase: &'static str) -> Self {
        Transaction { phase: Some(phase), ..self }
    }

    /// It is committed. A span for each that took part, below the span of each; all but the first
    /// lead to the first, so that those who shared it are found.
    pub fn committed<'a>(self, parts: impl IntoIterator<Item = (Option<Context>, About<'a>)>) {
        let Some(began) = self.began else { return };
        let ended = SystemTime::now();
        let parts: Vec<_> = parts.into_iter().collect();
        let size = parts.len();
        let mut first = None;
        for (parent, about) in parts {
            let name = || format!("transaction {}", self.database);
            let mut span = Span::below(Kind::Client, parent, name);
            if span.is_recorded() {
                span.began_at(began);
                span.set("db.system.name", "postgresql");
                span.set("db.namespace", self.database);
                if size > 1 {
                    span.set("db.operation.batch.size", size);
                }
                if let Some(phase) = self.phase {
                    span.set("saga.phase", phase);
                }
                about.set(&mut span);
                span.link(first);
                first = first.or(span.context());
            }
            span.end_at(ended);
        }
    }
}

pub(crate) fn of_message(
    span: &mut Span,
    operation: &'static str,
    exchange: &str,
    key: &str,
    queue: &str,
    properties: &Properties,
) {
    span.set("messaging.system", "rabbitmq");
    span.set("messaging.operation.name", operation);
    span.set("messaging.operation.type", operation);
    span.set("messaging.destination.name", &destination(exchange, key, queue));
    span.set("messaging.rabbitmq.destination.routing_key", key);
    if let Some(id) = &properties.message_id {
        span.set("messaging.message.id", id);
    }
    if let Some(saga) = &properties.correlation_id {
        span.set("saga.id", saga);
    }
}

pub(crate) fn of_headers(span: &mut Span, headers: &Headers) {
    for (key, header) in [
        ("saga.step", STEP),
        ("saga.leg", LEG),
        ("saga.outcome", OUTCOME),
        ("saga.definition", DEFINITION),
    ] {
        if let Some(text) = headers.text(header) {
            span.set(key, text);
        }
    }
    if let Some(attempt) = headers.int(ATTEMPT) {
        span.set("saga.attempt", attempt);
    }
}

/// `exchange:key:queue`, without what is empty or said before.
fn destination(exchange: &str, key: &str, queue: &str) -> String {
    let exchange = if exchange.is_empty() { "amq.default" } else { exchange };
    let mut name = String::with_capacity(exchange.len() + key.len() + queue.len() + 2);
    name.push_str(exchange);
    for part in [if key == queue { "" } else { key }, queue] {
        if !part.is_empty() {
            name.push(':');
            name.push_str(part);
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::destination;

    #[test]
    fn a_destination_is_exchange_key_and_queue_without_repetition() {
        for (exchange, key, queue, name) in [
            ("saga.commands", "inventory.commands", "", "saga.commands:inventory.commands"),
            (
                "saga.commands",
                "inventory.commands",
                "inventory.commands",
                "saga.commands:inventory.commands",
            ),
            (
                "saga.events",
                "order.created",
                "analytics.events",
                "saga.events:order.created:analytics.events",
            ),
            ("", "inventory.commands", "inventory.commands", "amq.default:inventory.commands"),
        ] {
            assert_eq!(destination(exchange, key, queue), name);
        }
    }
}
