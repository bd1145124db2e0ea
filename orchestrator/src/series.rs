//! Every series of the orchestrator.

use runtime::series::Series;

pub const SERIES: &[Series] = &[
    Series::counter(
        "commands_unroutable_total",
        &["key"],
        "Commands that reached no queue; the wake-up of their step sends them again.",
    ),
    Series::counter(
        "dead_letters_collected_total",
        &["participant", "reason"],
        "Dead letters taken out of their queues and stored; one that comes again counts again.",
    ),
    Series::gauge(
        "dead_letters_open",
        &["participant"],
        "Dead letters that nobody has seen to; every orchestrator tells the same.",
    ),
    Series::counter(
        "dead_letters_refused_total",
        &["participant"],
        "Dead letters whose replay was refused, as nobody waits for them or nobody can read them.",
    ),
    Series::counter(
        "dead_letters_replayed_total",
        &["participant"],
        "Dead letters whose replay had its effect, or was not heard of again in time.",
    ),
    Series::counter(
        "dead_letters_total",
        &["participant", "reason"],
        "Messages to the orchestrator that were given up and put into a dead-letter queue.",
    ),
    Series::counter(
        "events_ignored_total",
        &["why"],
        "Occurrences that changed nothing: duplicates and late answers (stale), and those of sagas that have ended (over).",
    ),
    Series::histogram("journal_batch_size", &[], "Occurrences that shared a transaction."),
    Series::histogram(
        "journal_commit_seconds",
        &[],
        "From the beginning of a journal transaction to its commit.",
    ),
    Series::counter(
        "replies_total",
        &["definition", "leg", "outcome", "step"],
        "Answers of participants that moved a saga: done, refused or faulted.",
    ),
    Series::gauge(
        "saga_oldest_open_seconds",
        &["definition"],
        "Age of the oldest open saga; every orchestrator tells the same.",
    ),
    Series::gauge(
        "sagas_in_flight",
        &["definition", "state"],
        "Open sagas, parked or not; every orchestrator tells the same.",
    ),
    Series::gauge(
        "sagas_parked",
        &["definition", "state"],
        "Open sagas of which a step cannot go on alone; every orchestrator tells the same.",
    ),
    Series::histogram(
        "saga_duration_seconds",
        &["definition", "ending"],
        "From a saga's start to its ending.",
    ),
    Series::counter(
        "saga_step_attempts_total",
        &["definition", "leg", "step"],
        "Attempts that legs were asked for in, the first and further ones; what is only sent again is not one.",
    ),
    Series::histogram(
        "saga_step_duration_seconds",
        &["definition", "leg", "step"],
        "From asking for a leg, in its latest attempt, to the answer that moved its saga; not of answers after a fault or after the last attempt.",
    ),
    Series::counter(
        "sagas_ended_total",
        &["definition", "ending"],
        "Sagas that have ended: completed or compensated.",
    ),
    Series::counter("sagas_started_total", &["definition"], "Sagas that have begun."),
    Series::counter(
        "sagas_woken_total",
        &[],
        "Sagas that were looked at because their wake-up time had come.",
    ),
    Series::gauge(
        "starts_held",
        &[],
        "1 while starts wait in their queue because the window is full.",
    ),
    Series::gauge(
        "starts_window",
        &[],
        "Sagas in flight from which on starts wait; 0: they never do.",
    ),
    Series::gauge(
        "starts_window_taken",
        &[],
        "Open sagas that are not parked, counted every second.",
    ),
    Series::counter(
        "sagas_removed_total",
        &[],
        "Ended sagas removed with their history because SAGA_RETENTION is over.",
    ),
];
