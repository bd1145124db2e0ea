use crate::StepIndex;
use contracts::{Leg, Outcome};

/// Everything that can happen to a saga after its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A participant answered. `done` and `refused` answer every attempt of the leg (the inbox gives
    /// all of them the same answer); `faulted` speaks for its own attempt alone.
    Replied { step: StepIndex, leg: Leg, attempt: u16, outcome: Outcome },
    /// The wake-up of this attempt has come: no answer in time, or the rest after a fault is over.
    Woke { step: StepIndex, leg: Leg, attempt: u16 },
    /// Somebody wants the saga undone.
    CancelRequested,
    /// The saga's own deadline has passed.
    DeadlinePassed,
    /// An operator wants parked legs asked again, with a fresh budget.
    ResumeRequested,
    /// An operator wants this one leg asked again now, with a fresh budget, parked or not.
    RetryRequested { step: StepIndex, leg: Leg },
    /// An operator vouches for a parked leg: it is done, by hand or as is known from elsewhere.
    SkipRequested { step: StepIndex, leg: Leg },
    /// An operator vouches that the parked pivot has not happened (or undoes it by hand), and wants
    /// the saga undone.
    ForceCompensateRequested,
}
