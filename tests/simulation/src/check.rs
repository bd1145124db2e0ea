//! What must be true: of every move when it is stored, and of the whole world once it has come to
//! rest.

use crate::{
    faults::Fault,
    leg::{LegKey, number},
    participant::{answer, is_outside, number_of},
    store::{Stored, Told},
    world::World,
};
use contracts::{Leg, Outcome};
use orchestrator::journal::Line;
use saga_core::{
    Cause, Event, Flight, Phase, Plan, State, StepKind, StepState, Transition,
    invariants::{check, check_move},
    start, transition,
};
use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash, Hasher},
};

/// Something that may never be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// `None` when it concerns no saga, or all.
    pub saga: Option<usize>,
    pub what: String,
}

impl World {
    /// What a transaction of an orchestrator is about to store: every line a legal move of the
    /// core, from the state that is stored now to the one that will be.
    pub fn check_moves(&mut self, rows: &[(usize, Stored)], lines: &[Line]) {
        for (saga, row) in rows {
            let definition = self.sagas[*saga].definition.clone();
            let plan = definition.plan();
            let mut state = self.store.get(*saga).map(|row| row.state);
            let mut revision = self.store.get(*saga).map_or(0, |row| row.revision);
            for line in lines.iter().filter(|line| number(line.saga) == *saga) {
                let told = Told::from(line);
                self.tell(*saga, || describe(&told));
                match self.check_line(*saga, plan, state, revision, &told) {
                    Ok(then) => state = Some(then),
                    Err(what) => return self.violate(Some(*saga), what),
                }
                revision = line.seq;
            }
            if state != Some(row.state) || revision != row.revision {
                return self.violate(Some(*saga), "the row is not what its history says");
            }
            if row.state.is_open() && row.wake_at.is_none() && row.parked.is_none() {
                return self.violate(Some(*saga), "open, not parked, and nobody will wake it");
            }
        }
    }

    fn check_line(
        &mut self,
        saga: usize,
        plan: &Plan,
        state: Option<State>,
        revision: i64,
        told: &Told,
    ) -> Result<State, String> {
        if told.seq != revision + 1 {
            return Err(format!("line {} comes after line {revision}", told.seq));
        }
        let then = follow(plan, state, told)?;
        if let Some(before) = state {
            check_move(plan, &before, &then).map_err(|broken| broken.to_string())?;
            self.notice(plan, &before, &then, told);
        }
        check(plan, &then).map_err(|broken| broken.to_string())?;
        self.transitions += 1;
        let mut hasher = DefaultHasher::new();
        (plan.name(), then).hash(&mut hasher);
        self.states.insert(hasher.finish());
        self.tell(saga, || {
            format!("  now {:?}; waits {:?}", then.phase, then.waits().collect::<Vec<_>>())
        });
        Ok(then)
    }

    /// Counts what a move shows.
    fn notice(&mut self, plan: &Plan, before: &State, then: &State, told: &Told) {
        if let (Phase::Running, Phase::Compensating(cause) | Phase::Compensated(cause)) =
            (before.phase, then.phase)
        {
            match cause {
                Cause::Refused(_) => self.tally.count(Fault::Refused),
                Cause::Faulted(_) => self.tally.count(Fault::Faulted),
                Cause::Unanswered(_) => self.tally.count(Fault::Unanswered),
                Cause::DeadlinePassed => self.tally.count(Fault::DeadlinePassed),
                Cause::Cancelled | Cause::Forced => {}
            }
        }
        let parked = |state: &State| state.waits().filter(|w| w.flight == Flight::Parked).count();
        if parked(then) > parked(before) {
            self.tally.count(Fault::Parked);
        }
        let late = told.event == "replied"
            && before.waits().any(|wait| {
                Some(plan.step(wait.step).name) == told.step.as_deref()
                    && told.attempt.is_some_and(|attempt| attempt < wait.attempt)
            });
        if late {
            self.tally.count(Fault::LateAnswer);
        }
    }

    /// The world at rest.
    pub fn check_rest(&mut self) {
        if self.violation.is_some() {
            return;
        }
        for saga in 0..self.sagas.len() {
            if let Err(what) = self.check_saga(saga) {
                return self.violate(Some(saga), what);
            }
        }
        if !self.tasks.is_empty() || self.broker.open() > 0 {
            let what = format!(
                "at rest, with {} tasks and {} messages that nobody handles",
                self.tasks.len(),
                self.broker.open()
            );
            self.violate(None, what);
        }
        self.check_owners();
    }

    fn check_saga(&self, saga: usize) -> Result<(), String> {
        let Some(row) = self.store.get(saga) else {
            return Err("accepted and lost".into());
        };
        if row.state.is_open() {
            let wake = row.wake_at.map_or("no wake-up", |_| "a wake-up");
            return Err(format!("never ends: {:?}, with {wake}", row.state.phase));
        }
        let definition = &self.sagas[saga].definition;
        let plan = definition.plan();
        let mut told = None;
        let history = self.store.histories.get(&saga).map_or(&[][..], Vec::as_slice);
        for (at, line) in history.iter().enumerate() {
            if line.seq != at as i64 + 1 {
                return Err("the history has a gap".into());
            }
            told = Some(follow(plan, told, line)?);
        }
        if told != Some(row.state) {
            return Err("the history replayed is another state".into());
        }
        let undone = matches!(row.state.phase, Phase::Compensated(_));
        if self.sagas[saga].cancel_honoured && !undone {
            return Err("a cancel was honoured, and the saga completed".into());
        }
        let restored = row.row(self.sagas[saga].id).record(&self.catalogue);
        if !restored.is_ok_and(|record| record.state == row.state) {
            return Err("the row's words do not say its state".into());
        }
        self.check_effects(saga, plan, &row.state)
    }

    /// All effects exactly once, or none left.
    fn check_effects(&self, saga: usize, plan: &Plan, state: &State) -> Result<(), String> {
        for (step, spec) in plan.steps() {
            let name = spec.name;
            let participant = number_of(spec.action.participant());
            let key = LegKey { saga, step: step.get(), leg: Leg::Action };
            let database = &self.databases[participant];
            let (times, left) = match is_outside(participant) {
                true => (u32::from(self.ledger.stands(key)), self.ledger.stands(key)),
                false => {
                    let effect = database.effect(key);
                    (effect.done, effect.done != effect.undone)
                }
            };
            let harmless = spec.kind == StepKind::ReadOnly;
            match state.phase {
                Phase::Completed if !harmless && (times != 1 || !left) => {
                    return Err(format!("completed, and {name} was done {times} times"));
                }
                Phase::Compensated(_) if !harmless && left => {
                    return Err(format!("compensated, and {name} is left"));
                }
                _ => {}
            }
            self.check_inbox(key, participant, name, state.step(step), spec.kind)?;
            for leg in [key, key.compensation()] {
                let done = database.seen(leg) == Some(answer(Outcome::Done));
                if done && !self.event_is_told(leg) {
                    return Err(format!("nobody was told of {name}'s {}", leg.leg));
                }
            }
        }
        Ok(())
    }

    /// The participant remembers what the journal says that it said.
    fn check_inbox(
        &self,
        key: LegKey,
        participant: usize,
        name: &str,
        state: StepState,
        kind: StepKind,
    ) -> Result<(), String> {
        let seen = |key| self.databases[participant].seen(key);
        let agrees = match state {
            StepState::Done => seen(key) == Some(answer(Outcome::Done)),
            StepState::Refused => seen(key) == Some(answer(Outcome::Refused)),
            StepState::Undone if kind == StepKind::Compensatable => {
                seen(key.compensation()) == Some(answer(Outcome::Done))
            }
            StepState::Pending => seen(key).is_none() && seen(key.compensation()).is_none(),
            _ => true,
        };
        match agrees {
            true => Ok(()),
            false => Err(format!("{name} is {state:?}, its participant has {:?}", seen(key))),
        }
    }

    fn event_is_told(&self, key: LegKey) -> bool {
        use crate::broker::{Letter, Queue};
        self.broker
            .content(Queue::Events)
            .any(|letter| matches!(letter, Letter::Event(told) if *told == key))
    }

    /// No effect without its saga.
    fn check_owners(&mut self) {
        let mut owners: BTreeSet<usize> = self.ledger.keys().map(|key| key.saga).collect();
        for database in &self.databases {
            owners.extend(database.inbox().map(|(key, _)| key.saga));
        }
        if let Some(orphan) = owners.into_iter().find(|saga| self.store.get(*saga).is_none()) {
            self.violate(Some(orphan), "effects without a saga");
        }
    }
}

/// What the core makes of a line of a history.
fn follow(plan: &Plan, state: Option<State>, told: &Told) -> Result<State, String> {
    let Some(state) = state else {
        return match told.event {
            "started" => Ok(start(plan).state),
            other => Err(format!("a history that begins with {other:?}")),
        };
    };
    let event = event(plan, told).ok_or_else(|| format!("no event: {}", describe(told)))?;
    match transition(plan, &state, event) {
        Transition::Moved(moved) => Ok(moved.state),
        Transition::Ignored(why) => {
            Err(format!("in the history, and ignored as {}: {}", why.as_str(), describe(told)))
        }
    }
}

fn event(plan: &Plan, told: &Told) -> Option<Event> {
    let leg = || Some((plan.index(told.step.as_deref()?)?, told.leg?, told.attempt?));
    Some(match told.event {
        "replied" => {
            let (step, leg, attempt) = leg()?;
            Event::Replied { step, leg, attempt, outcome: told.outcome? }
        }
        "woke" => {
            let (step, leg, attempt) = leg()?;
            Event::Woke { step, leg, attempt }
        }
        "cancel-requested" => Event::CancelRequested,
        "deadline-passed" => Event::DeadlinePassed,
        "resume-requested" => Event::ResumeRequested,
        "retry-requested" => {
            let (step, leg, _) = leg()?;
            Event::RetryRequested { step, leg }
        }
        _ => return None,
    })
}

fn describe(told: &Told) -> String {
    let Told { seq, event, step, leg, attempt, outcome } = told;
    let mut text = format!("{seq}. {event}");
    if let (Some(step), Some(leg), Some(attempt)) = (step, leg, attempt) {
        text += &format!(" {step} {leg} attempt {attempt}");
    }
    if let Some(outcome) = outcome {
        text += &format!(": {outcome}");
    }
    text
}
