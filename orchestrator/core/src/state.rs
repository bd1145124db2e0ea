//! Where a saga stands. Small, `Copy` and `Hash`, without payloads, so that every state can be
//! walked by a test.

use crate::{MAX_STEPS, Plan, StepIndex, StepKind};
use contracts::Leg;

/// One running (or ended) saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub phase: Phase,
    steps: [StepState; MAX_STEPS],
}

/// Which way the saga goes, or how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    Running,
    Compensating(Cause),
    Completed,
    Compensated(Cause),
}

/// Why a saga goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// A business no.
    Refused(StepIndex),
    /// The participant gave up: it may or may not have happened.
    Faulted(StepIndex),
    /// All attempts met silence.
    Unanswered(StepIndex),
    Cancelled,
    DeadlinePassed,
    /// An operator vouched that the pivot, asked for and not answered, has not happened.
    Forced,
}

impl Cause {
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::Refused(_) => "refused",
            Cause::Faulted(_) => "faulted",
            Cause::Unanswered(_) => "unanswered",
            Cause::Cancelled => "cancelled",
            Cause::DeadlinePassed => "deadline-passed",
            Cause::Forced => "forced",
        }
    }

    /// The step that turned the saga round, if one did.
    pub fn step(self) -> Option<StepIndex> {
        match self {
            Cause::Refused(step) | Cause::Faulted(step) | Cause::Unanswered(step) => Some(step),
            Cause::Cancelled | Cause::DeadlinePassed | Cause::Forced => None,
        }
    }
}

/// How a saga ends: all done, or all undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    Completed,
    Compensated(Cause),
}

/// Where one step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepState {
    /// Not asked for yet.
    Pending,
    /// The action is asked for and not answered.
    Acting(Try),
    Done,
    /// A business no: nothing was done.
    Refused,
    /// The compensation is asked for and not answered.
    Undoing(Try),
    /// Nothing of the step is left.
    Undone,
}

/// The attempt that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Try {
    /// From 1, never reset.
    pub attempt: u16,
    /// Attempts left in the budget after this one.
    pub left: u8,
    pub flight: Flight,
}

/// What an attempt waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flight {
    /// Sent: for its answer, until the leg's timeout.
    Sent,
    /// For the rest after a fault to be over; it is sent then.
    Resting,
    /// For a late answer or an operator: the budget is spent.
    Parked,
}

/// A leg that a saga waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    pub step: StepIndex,
    pub leg: Leg,
    pub attempt: u16,
    pub flight: Flight,
}

impl State {
    /// A state from its parts, as stored.
    pub fn restore(phase: Phase, steps: impl IntoIterator<Item = (StepIndex, StepState)>) -> Self {
        let mut state = State { phase, steps: [StepState::Pending; MAX_STEPS] };
        for (index, step) in steps {
            state.steps[index.get()] = step;
        }
        state
    }

    pub fn step(&self, index: StepIndex) -> StepState {
        self.steps[index.get()]
    }

    pub(crate) fn set(&mut self, index: StepIndex, step: StepState) {
        self.steps[index.get()] = step;
    }

    /// Whether the saga has not ended.
    pub fn is_open(&self) -> bool {
        self.ending().is_none()
    }

    pub fn ending(&self) -> Option<Ending> {
        match self.phase {
            Phase::Completed => Some(Ending::Completed),
            Phase::Compensated(cause) => Some(Ending::Compensated(cause)),
            Phase::Running | Phase::Compensating(_) => None,
        }
    }

    /// Every leg asked for and not answered, in the plan's order.
    pub fn waits(&self) -> impl Iterator<Item = Wait> + '_ {
        (0u8..).zip(&self.steps).filter_map(|(index, step)| {
            let (leg, under_way) = match step {
                StepState::Acting(under_way) => (Leg::Action, under_way),
                StepState::Undoing(under_way) => (Leg::Compensation, under_way),
                _ => return None,
            };
            let Try { attempt, flight, .. } = *under_way;
            Some(Wait { step: StepIndex(index), leg, attempt, flight })
        })
    }

    /// The first leg that cannot go on alone. A saga may be parked while a parallel leg is under way.
    pub fn parked(&self) -> Option<Wait> {
        self.waits().find(|wait| wait.flight == Flight::Parked)
    }

    /// Whether something of this step may be left that going back would have to undo.
    pub(crate) fn needs_undo(&self, plan: &Plan, index: StepIndex) -> bool {
        plan.step(index).kind == StepKind::Compensatable
            && matches!(self.step(index), StepState::Acting(_) | StepState::Done)
    }
}
