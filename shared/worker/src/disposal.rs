//! What becomes of a command or event that faulted, as messages to send before it is
//! acknowledged.

use crate::{
    Fault,
    desk::own,
    fate::{self, Fate, Nature},
    outcome, series,
};
use contracts::{CommandEnvelope, Outcome, ReplyEnvelope};
use messaging::{DeadReason, Incoming, Outgoing, Poison};
use runtime::trace;
use time::OffsetDateTime;

/// A fault's text in a reply; the dead letter has more of it.
const ERROR_LIMIT: usize = 500;

/// Of a command that faulted: a retry, or a dead letter and mostly the answer *faulted*.
pub(crate) fn of_command(
    participant: &'static str,
    incoming: &Incoming,
    command: &CommandEnvelope,
    fault: &Fault,
    retries_limit: u32,
) -> Vec<Outgoing> {
    let error = fault.chain();
    let retries = incoming.retry_count();
    let now = OffsetDateTime::now_utc();
    let fate = fate::of(nature(fault), retries, retries_limit, command.deadline, now);
    let own = own(command);
    tracing::warn!(
        saga.id = %command.saga, trace_id = trace::id(command.traceparent.as_deref()),
        saga.step = command.step, saga.leg = %command.leg,
        saga.attempt = command.attempt, command = command.kind, retries, ?fate, error,
        "{} faulted", command.kind
    );
    match fate {
        Fate::Retry(tier) => {
            series::retried(participant);
            vec![Outgoing::retry(incoming, participant, tier, &error).departing(own)]
        }
        Fate::Spent | Fate::Hopeless => {
            let reason = match fate {
                Fate::Spent => DeadReason::AttemptsSpent,
                _ => DeadReason::Fault,
            };
            series::handled(participant, command, Outcome::Faulted.as_str());
            vec![
                dead_letter(participant, incoming, reason, &error).departing(own),
                Outgoing::reply(&faulted(command, &error)).departing(own),
            ]
        }
        Fate::Poison => {
            let letter = dead_letter(participant, incoming, DeadReason::SchemaVersion, &error);
            vec![letter.departing(own)]
        }
    }
}

/// Of an event that faulted too often. Nobody waits for an answer.
pub(crate) fn of_event(participant: &'static str, incoming: &Incoming, fault: &Fault) -> Outgoing {
    let error = fault.chain();
    tracing::warn!(
        saga.id = incoming.correlation_id(),
        event = incoming.kind(),
        error,
        "event faulted"
    );
    let reason = match nature(fault) {
        Nature::Transient => DeadReason::AttemptsSpent,
        Nature::Permanent => DeadReason::Fault,
        Nature::Unreadable => DeadReason::SchemaVersion,
    };
    dead_letter(participant, incoming, reason, &error)
}

/// Of a message that cannot be read.
pub(crate) fn of_poison(
    participant: &'static str,
    incoming: &Incoming,
    poison: &Poison,
) -> Outgoing {
    tracing::warn!(
        saga.id = incoming.correlation_id(), kind = incoming.kind(), queue = incoming.queue,
        error = %poison, "poison message"
    );
    dead_letter(participant, incoming, poison.reason, &poison.error)
}

/// Of a message of a type that is not registered.
pub(crate) fn unknown_type(kind: &str) -> Poison {
    Poison { reason: DeadReason::UnknownType, error: format!("nobody here handles {kind}") }
}

fn dead_letter(
    participant: &'static str,
    incoming: &Incoming,
    reason: DeadReason,
    error: &str,
) -> Outgoing {
    series::dead_letter(participant, reason.as_str());
    Outgoing::dead_letter(incoming, participant, reason, error, incoming.retry_count() + 1)
}

fn faulted(command: &CommandEnvelope, error: &str) -> ReplyEnvelope {
    let error: String = error.chars().take(ERROR_LIMIT).collect();
    let body = serde_json::json!({ "error": error }).to_string().into_bytes();
    ReplyEnvelope::to(command, Outcome::Faulted, body)
}

fn nature(fault: &Fault) -> Nature {
    match fault.nature() {
        outcome::Nature::Infrastructure
        | outcome::Nature::Retriable
        | outcome::Nature::Transient => Nature::Transient,
        outcome::Nature::Permanent => Nature::Permanent,
        outcome::Nature::Unreadable => Nature::Unreadable,
    }
}
