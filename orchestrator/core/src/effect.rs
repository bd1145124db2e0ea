use crate::{Ending, State, StepIndex};
use contracts::Leg;

/// What the shell has to do once the new state is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send the command of this leg.
    Invoke { step: StepIndex, leg: Leg, attempt: u16 },
    /// The saga has ended.
    Announce(Ending),
}

/// A saga that has moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    pub state: State,
    pub effects: Vec<Effect>,
}

/// The answer to an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transition {
    Moved(Moved),
    /// Nothing changes. Counted by the shell, never an error.
    Ignored(Ignored),
}

/// Why an event changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ignored {
    /// The leg has been answered, or superseded, before.
    Stale,
    /// The saga has ended.
    Over,
    /// Too late to go back: the pivot has been asked for.
    PastPivot,
    /// The saga is on its way back already.
    AlreadyCompensating,
    /// There is nothing parked to resume.
    NothingParked,
    /// The leg is not waited for.
    NotAwaited,
    /// The leg is being asked: whether it is done may yet be answered.
    StillAsked,
    /// The pivot has not been asked for: a cancel undoes the saga.
    PivotNotAsked,
    /// The pivot is done: from there only forward.
    PivotDone,
}

impl Ignored {
    pub fn as_str(self) -> &'static str {
        match self {
            Ignored::Stale => "stale",
            Ignored::Over => "over",
            Ignored::PastPivot => "past-pivot",
            Ignored::AlreadyCompensating => "already-compensating",
            Ignored::NothingParked => "nothing-parked",
            Ignored::NotAwaited => "not-awaited",
            Ignored::StillAsked => "still-asked",
            Ignored::PivotNotAsked => "pivot-not-asked",
            Ignored::PivotDone => "pivot-done",
        }
    }
}
