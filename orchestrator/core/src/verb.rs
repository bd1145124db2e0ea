use crate::{Event, Plan, State, StepIndex, Transition, transition};
use contracts::Leg;

/// What an operator can ask of a saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Undo it. Before the pivot is asked for.
    Cancel,
    /// Ask everything parked again, with fresh budgets.
    Resume,
    /// Ask one leg again, with a fresh budget, parked or not.
    Retry { step: StepIndex, leg: Leg },
    /// Take a parked leg as done.
    Skip { step: StepIndex, leg: Leg },
    /// Undo it although its pivot, parked, was asked for.
    ForceCompensate,
}

impl Verb {
    /// The word for it, as in paths and audit rows.
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Cancel => "cancel",
            Verb::Resume => "resume",
            Verb::Retry { .. } => "retry",
            Verb::Skip { .. } => "skip",
            Verb::ForceCompensate => "force-compensate",
        }
    }

    /// What the core is asked.
    pub fn event(self) -> Event {
        match self {
            Verb::Cancel => Event::CancelRequested,
            Verb::Resume => Event::ResumeRequested,
            Verb::Retry { step, leg } => Event::RetryRequested { step, leg },
            Verb::Skip { step, leg } => Event::SkipRequested { step, leg },
            Verb::ForceCompensate => Event::ForceCompensateRequested,
        }
    }
}

/// Every verb that would move the saga, the mild ones first. None of them moves an ended one.
pub fn verbs(plan: &Plan, state: &State) -> Vec<Verb> {
    let waits: Vec<_> = state.waits().map(|wait| (wait.step, wait.leg)).collect();
    let retries = waits.iter().map(|&(step, leg)| Verb::Retry { step, leg });
    let skips = waits.iter().map(|&(step, leg)| Verb::Skip { step, leg });
    [Verb::Resume]
        .into_iter()
        .chain(retries)
        .chain([Verb::Cancel])
        .chain(skips)
        .chain([Verb::ForceCompensate])
        .filter(|verb| matches!(transition(plan, state, verb.event()), Transition::Moved(_)))
        .collect()
}
