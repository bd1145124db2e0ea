//! Every series that a worker writes, in one place.

use contracts::CommandEnvelope;
use messaging::DeadReason;
use runtime::series::Series;
use std::time::Duration;

pub const SERIES: &[Series] = &[
    Series::histogram("batch_size", &["queue"], "Commands or events that shared a transaction."),
    Series::counter(
        "command_duplicates_total",
        &["participant"],
        "Commands that were answered from the inbox: they had come before.",
    ),
    Series::counter(
        "command_retries_total",
        &["participant"],
        "Commands that were put into a delayed retry queue.",
    ),
    Series::counter(
        "commands_handled_total",
        &["command", "leg", "outcome", "participant"],
        "Commands whose answer is committed: done, refused or faulted.",
    ),
    Series::counter(
        "dead_letters_total",
        &["participant", "reason"],
        "Messages that were given up and put into a dead-letter queue.",
    ),
    Series::counter(
        "events_retold_total",
        &["outcome", "participant"],
        "Events that were asked for again: `known` ones had come through the queue, `new` ones had not (it was lost, or is long), `faulted` ones could not be taken in.",
    ),
    Series::histogram(
        "handle_seconds",
        &["participant"],
        "From having a batch of commands (or one that reaches outside) to having its answers committed.",
    ),
];

/// Counters at nothing: what appears with its first count has not increased, as Prometheus sees it,
/// and would alarm nobody.
pub(crate) fn begin(participant: &'static str) {
    metrics::counter!("command_duplicates_total", "participant" => participant).increment(0);
    metrics::counter!("command_retries_total", "participant" => participant).increment(0);
    for reason in DeadReason::ALL {
        metrics::counter!("dead_letters_total", "participant" => participant,
            "reason" => reason.as_str())
        .increment(0);
    }
}

/// `outcome` is `done`, `refused` or `faulted`.
pub(crate) fn handled(participant: &'static str, command: &CommandEnvelope, outcome: &'static str) {
    metrics::counter!(
        "commands_handled_total", "participant" => participant, "command" => command.kind.clone(),
        "leg" => command.leg.as_str(), "outcome" => outcome
    )
    .increment(1);
}

/// Answered from the inbox.
pub(crate) fn duplicate(participant: &'static str) {
    metrics::counter!("command_duplicates_total", "participant" => participant).increment(1);
}

/// Sent to a delayed retry queue.
pub(crate) fn retried(participant: &'static str) {
    metrics::counter!("command_retries_total", "participant" => participant).increment(1);
}

pub(crate) fn dead_letter(participant: &'static str, reason: &'static str) {
    metrics::counter!("dead_letters_total", "participant" => participant, "reason" => reason)
        .increment(1);
}

/// `outcome` is `known`, `new` or `faulted`.
pub(crate) fn retold(participant: &'static str, outcome: &'static str) {
    metrics::counter!("events_retold_total", "participant" => participant, "outcome" => outcome)
        .increment(1);
}

/// Commands or events that shared a transaction.
pub(crate) fn batch(queue: &'static str, size: usize) {
    metrics::histogram!("batch_size", "queue" => queue).record(size as f64);
}

/// From having a batch or a command to having its answers committed.
pub(crate) fn seconds(participant: &'static str, took: Duration) {
    metrics::histogram!("handle_seconds", "participant" => participant).record(took.as_secs_f64());
}
