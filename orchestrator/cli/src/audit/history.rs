//! The journal against the core: no saga forgotten, every history a legal path to the stored state.

use super::{
    dossier::{Dossier, Entry, Journalled, Stored},
    invariant::{Finding, Invariant},
};
use saga_core::{Plan, State, Transition, invariants::check_move, start, transition};
use time::Duration;

pub(crate) const OF_A_SAGA: &[Invariant<Dossier>] = &[
    Invariant {
        name: "saga-is-never-forgotten",
        says: "every saga has ended, or has a wake-up (at most a minute overdue), or is parked at a step that cannot go on alone",
        needs: &[],
        broken: never_forgotten,
    },
    Invariant {
        name: "history-is-gapless",
        says: "a history begins with the start and counts from 1 to the saga's revision",
        needs: &[],
        broken: gapless,
    },
    Invariant {
        name: "history-has-its-saga",
        says: "every line of a history belongs to a saga",
        needs: &[],
        broken: has_its_saga,
    },
    Invariant {
        name: "history-is-legal",
        says: "every event of a history moves the core, along a path that its invariants allow",
        needs: &[],
        broken: legal,
    },
    Invariant {
        name: "history-gives-the-state",
        says: "replaying the history through the core gives the stored state, steps, cause and parked step",
        needs: &[],
        broken: gives_the_state,
    },
];

/// Overdue by more than this, a wake-up was missed.
const OVERDUE: Duration = Duration::MINUTE;
/// Wake-ups are stored in milliseconds in one place and in microseconds in another.
const ROUNDING: Duration = Duration::milliseconds(2);

/// What the core makes of a history.
pub(crate) enum Replayed {
    State(Box<State>),
    /// The line that it has no answer to, and why.
    Illegal {
        seq: i64,
        why: String,
    },
    /// There are no lines, or no plan to read them by.
    Unknown,
}

/// Tells the history to the core.
pub(crate) fn replay(plan: &Plan, lines: &[Entry]) -> Replayed {
    let Some((first, rest)) = lines.split_first() else { return Replayed::Unknown };
    if first.word != "started" {
        let why = format!("it begins with {}", first.word);
        return Replayed::Illegal { seq: first.number, why };
    }
    let mut state = start(plan).state;
    for entry in rest {
        let illegal = |why: String| Replayed::Illegal { seq: entry.number, why };
        let Some(event) = entry.line.event(plan) else {
            return illegal(format!("{} is no event of this definition", entry.words()));
        };
        let moved = match transition(plan, &state, event) {
            Transition::Moved(moved) => moved,
            Transition::Ignored(why) => {
                return illegal(format!("{} changes nothing: {why:?}", entry.words()));
            }
        };
        if let Err(broken) = check_move(plan, &state, &moved.state) {
            return illegal(format!("{}: {}", entry.words(), broken.invariant));
        }
        state = moved.state;
    }
    Replayed::State(Box::new(state))
}

impl Entry {
    fn words(&self) -> String {
        let parts = [Some(self.word.as_str()), self.of_step.as_deref(), self.of_leg.as_deref()];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

fn never_forgotten(dossier: &Dossier) -> Vec<Finding> {
    let Some(saga) = &dossier.saga else { return Vec::new() };
    if saga.standing().is_some_and(|standing| standing.has_ended()) {
        return match saga.wake_at {
            Some(at) => {
                vec![Finding::new("wake-up", format!("it is {}, and wakes at {at}", saga.state))]
            }
            None => Vec::new(),
        };
    }
    let Some(at) = saga.wake_at else {
        return match parked_at(saga) {
            Some(_) => Vec::new(),
            None => vec![Finding::new(
                "wake-up",
                format!("{}, no wake-up, parked: {:?}", saga.state, saga.parked),
            )],
        };
    };
    if saga.now - at > OVERDUE {
        let late = (saga.now - at).whole_seconds();
        return vec![Finding::new("wake-up", format!("{}, overdue by {late} s", saga.state))];
    }
    if let Some(look) = saga.look_at.filter(|look| *look > at + ROUNDING) {
        return vec![Finding::new("wake-up", format!("due at {at}, and not found before {look}"))];
    }
    let Stored::Sound(record) = &saga.stored else { return Vec::new() };
    match record.wake_at() {
        Some(wanted) if (wanted - at).abs() <= ROUNDING => Vec::new(),
        wanted => vec![Finding::new(
            "wake-up",
            format!("it wakes at {at}, its steps want to be woken at {wanted:?}"),
        )],
    }
}

/// The step that it is parked at, if that step is really unable to go on alone.
fn parked_at(saga: &Journalled) -> Option<&str> {
    let parked = saga.parked.as_deref()?;
    match &saga.stored {
        Stored::Sound(record) => (record.parked() == Some(parked)).then_some(parked),
        _ => Some(parked),
    }
}

fn gapless(dossier: &Dossier) -> Vec<Finding> {
    let Some(saga) = &dossier.saga else { return Vec::new() };
    let gap = (1..).zip(&saga.lines).find(|(wanted, entry)| *wanted != entry.number);
    if let Some((wanted, entry)) = gap {
        return vec![Finding::new("seq", format!("{} where {wanted} should be", entry.number))];
    }
    match i64::try_from(saga.lines.len()) == Ok(saga.revision) && saga.revision > 0 {
        true => Vec::new(),
        false => vec![Finding::new(
            "revision",
            format!("revision {}, {} events", saga.revision, saga.lines.len()),
        )],
    }
}

fn has_its_saga(dossier: &Dossier) -> Vec<Finding> {
    match dossier.orphans {
        0 => Vec::new(),
        lines => vec![Finding::new("saga", format!("{lines} lines of history, no saga"))],
    }
}

fn legal(dossier: &Dossier) -> Vec<Finding> {
    match dossier.saga.as_ref().map(|saga| &saga.replayed) {
        Some(Replayed::Illegal { seq, why }) => {
            vec![Finding::new(format!("event {seq}"), why.clone())]
        }
        _ => Vec::new(),
    }
}

fn gives_the_state(dossier: &Dossier) -> Vec<Finding> {
    let Some(saga) = &dossier.saga else { return Vec::new() };
    if !gapless(dossier).is_empty() {
        return Vec::new(); // told already; a history with holes leads elsewhere
    }
    let (record, replayed) = match (&saga.stored, &saga.replayed) {
        (Stored::Corrupt(why), _) => return vec![Finding::new("row", why.clone())],
        (Stored::Sound(record), Replayed::State(state)) => (record, state),
        _ => return Vec::new(),
    };
    let mut found = Vec::new();
    let (is, should) = (record.state.phase, replayed.phase);
    if is != should {
        found.push(Finding::new("state", format!("stored {is:?}, replayed {should:?}")));
    }
    for (step, spec) in record.definition.plan().steps() {
        let (is, should) = (record.state.step(step), replayed.step(step));
        if is != should {
            found.push(Finding::new(spec.name, format!("stored {is:?}, replayed {should:?}")));
        }
    }
    let should = replayed.parked().map(|wait| record.definition.plan().step(wait.step).name);
    if saga.parked.as_deref() != should {
        let is = &saga.parked;
        found.push(Finding::new("parked", format!("stored {is:?}, replayed {should:?}")));
    }
    found
}
