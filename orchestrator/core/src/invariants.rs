//! What must be true of every saga, as named predicates: shared by the exhaustive test, the
//! simulation, the auditor and the engine's own checks.

use crate::{Cause, Flight, Phase, Plan, State, StepIndex, StepKind, StepState};
use std::fmt;

/// A predicate over one saga that never may be false.
pub struct Invariant {
    pub name: &'static str,
    holds: fn(&Plan, &State) -> bool,
}

/// An invariant that a state breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub invariant: &'static str,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "broken: {}", self.invariant)
    }
}

/// All invariants of a single state.
pub const OF_A_STATE: &[Invariant] = &[
    Invariant { name: "S-1 completed means every step is done", holds: completed_is_all_done },
    Invariant { name: "S-2 compensated means nothing is left", holds: compensated_is_nothing_left },
    Invariant { name: "S-3 a stage begins after the stages before it", holds: stages_go_in_order },
    Invariant {
        name: "S-4 an asked pivot only goes back refused, or forced",
        holds: pivot_is_no_return,
    },
    Invariant { name: "S-5 undoing goes in reverse order of stages", holds: undo_in_reverse },
    Invariant { name: "S-6 an open saga waits for something", holds: open_waits },
    Invariant { name: "S-7 nothing is undone while running", holds: running_undoes_nothing },
    Invariant { name: "S-8 parked means the budget is spent", holds: parked_is_spent },
    Invariant { name: "S-9 budgets are never exceeded", holds: budgets_hold },
    Invariant { name: "S-10 only what may be refused is refused", holds: refusals_are_legal },
    Invariant { name: "S-11 only what has a compensation is compensated", holds: undo_is_defined },
    Invariant { name: "S-12 the cause is a step that turned the saga round", holds: cause_fits },
];

/// The first invariant that the state breaks.
pub fn check(plan: &Plan, state: &State) -> Result<(), Violation> {
    match OF_A_STATE.iter().find(|invariant| !(invariant.holds)(plan, state)) {
        Some(broken) => Err(Violation { invariant: broken.name }),
        None => Ok(()),
    }
}

/// The first invariant that a move breaks: what may never happen between two states.
pub fn check_move(plan: &Plan, from: &State, to: &State) -> Result<(), Violation> {
    let broken = if !from.is_open() {
        Some("S-20 an ending is final")
    } else if matches!(from.phase, Phase::Compensating(_)) && !is_backward(from.phase, to.phase) {
        Some("S-21 a saga on its way back never turns again")
    } else if plan.steps().any(|(step, _)| !follows(plan, step, from.step(step), to.step(step))) {
        Some("S-22 a step only moves along its path")
    } else if plan.steps().any(|(step, _)| !budget_is_own(plan, step, from, to)) {
        Some("S-23 a leg begins with its own, whole budget")
    } else {
        None
    };
    match broken {
        Some(invariant) => Err(Violation { invariant }),
        None => check(plan, to),
    }
}

fn is_backward(from: Phase, to: Phase) -> bool {
    match (from, to) {
        (Phase::Compensating(was), Phase::Compensating(is) | Phase::Compensated(is)) => was == is,
        _ => false,
    }
}

/// Pending → acting → done or refused → undoing → undone; a read-only step is dropped at once, and
/// so is a pivot that an operator vouches for.
fn follows(plan: &Plan, step: StepIndex, from: StepState, to: StepState) -> bool {
    use StepState::{Acting, Done, Pending, Refused, Undoing, Undone};
    match (from, to) {
        (Acting(was), Acting(is)) | (Undoing(was), Undoing(is)) => is.attempt >= was.attempt,
        (Pending, Pending | Acting(_)) => true,
        (Acting(_), Done | Refused | Undoing(_)) => true,
        (Acting(was), Undone) => match plan.step(step).kind {
            StepKind::ReadOnly => true,
            StepKind::Pivot => was.flight == Flight::Parked,
            StepKind::Compensatable | StepKind::Retriable => false,
        },
        (Done, Done | Undoing(_)) => true,
        (Refused, Refused) => true,
        (Undoing(_), Undone) => true,
        (Undone, Undone) => true,
        _ => false,
    }
}

/// Attempts of the action never count against the compensation.
fn budget_is_own(plan: &Plan, step: StepIndex, from: &State, to: &State) -> bool {
    let spec = plan.step(step);
    match (from.step(step), to.step(step)) {
        (StepState::Acting(_), StepState::Acting(_))
        | (StepState::Undoing(_), StepState::Undoing(_)) => true,
        (_, StepState::Acting(it)) => it.attempt == 1 && it.left + 1 == spec.action.attempts,
        (_, StepState::Undoing(it)) => {
            it.attempt == 1 && spec.compensation.is_some_and(|leg| it.left + 1 == leg.attempts)
        }
        _ => true,
    }
}

fn completed_is_all_done(plan: &Plan, state: &State) -> bool {
    state.phase != Phase::Completed
        || plan.steps().all(|(step, _)| state.step(step) == StepState::Done)
}

fn compensated_is_nothing_left(plan: &Plan, state: &State) -> bool {
    !matches!(state.phase, Phase::Compensated(_))
        || plan.steps().all(|(step, spec)| match state.step(step) {
            StepState::Pending | StepState::Refused | StepState::Undone => true,
            StepState::Done => spec.kind == StepKind::ReadOnly,
            StepState::Acting(_) | StepState::Undoing(_) => false,
        })
}

fn stages_go_in_order(plan: &Plan, state: &State) -> bool {
    let mut before_are_asked = true;
    for stage in plan.stages() {
        let steps: Vec<StepState> = stage.map(|step| state.step(step)).collect();
        let begun = steps.iter().any(|step| *step != StepState::Pending);
        if begun && !before_are_asked {
            return false;
        }
        before_are_asked &= steps.iter().all(|step| {
            matches!(step, StepState::Done | StepState::Undoing(_) | StepState::Undone)
        });
    }
    true
}

fn pivot_is_no_return(plan: &Plan, state: &State) -> bool {
    let turned = matches!(state.phase, Phase::Compensating(_) | Phase::Compensated(_));
    let pivot = state.step(plan.pivot());
    match state.phase {
        Phase::Compensating(Cause::Forced) | Phase::Compensated(Cause::Forced) => {
            pivot == StepState::Undone
        }
        _ => !turned || matches!(pivot, StepState::Pending | StepState::Refused),
    }
}

fn undo_in_reverse(plan: &Plan, state: &State) -> bool {
    let mut undo_begun_before = false;
    for stage in plan.stages() {
        let steps: Vec<StepIndex> = stage.collect();
        let left = steps.iter().any(|&step| {
            state.needs_undo(plan, step) || matches!(state.step(step), StepState::Undoing(_))
        });
        if undo_begun_before && left {
            return false;
        }
        undo_begun_before |= steps.iter().any(|&step| {
            let undo = matches!(state.step(step), StepState::Undoing(_) | StepState::Undone);
            undo && plan.step(step).kind == StepKind::Compensatable
        });
    }
    true
}

fn open_waits(_: &Plan, state: &State) -> bool {
    state.is_open() == (state.waits().next().is_some())
}

fn running_undoes_nothing(plan: &Plan, state: &State) -> bool {
    state.phase != Phase::Running
        || plan.steps().all(|(step, _)| {
            !matches!(
                state.step(step),
                StepState::Undoing(_) | StepState::Undone | StepState::Refused
            )
        })
}

fn parked_is_spent(plan: &Plan, state: &State) -> bool {
    plan.steps().all(|(step, _)| match state.step(step) {
        StepState::Acting(it) | StepState::Undoing(it) => {
            it.flight != Flight::Parked || it.left == 0
        }
        _ => true,
    })
}

fn budgets_hold(plan: &Plan, state: &State) -> bool {
    plan.steps().all(|(step, spec)| match state.step(step) {
        StepState::Acting(it) => it.left < spec.action.attempts,
        StepState::Undoing(it) => spec.compensation.is_some_and(|leg| it.left < leg.attempts),
        _ => true,
    })
}

fn refusals_are_legal(plan: &Plan, state: &State) -> bool {
    plan.steps()
        .all(|(step, spec)| state.step(step) != StepState::Refused || spec.kind.may_refuse())
}

fn undo_is_defined(plan: &Plan, state: &State) -> bool {
    plan.steps().all(|(step, spec)| match state.step(step) {
        StepState::Undoing(_) => spec.kind == StepKind::Compensatable,
        // A pivot only by force: S-4.
        StepState::Undone => spec.kind != StepKind::Retriable,
        _ => true,
    })
}

fn cause_fits(plan: &Plan, state: &State) -> bool {
    let (Phase::Compensating(cause) | Phase::Compensated(cause)) = state.phase else {
        return true;
    };
    match cause {
        Cause::Refused(step) => state.step(step) == StepState::Refused,
        Cause::Faulted(step) | Cause::Unanswered(step) => {
            let undone = matches!(state.step(step), StepState::Undoing(_) | StepState::Undone);
            undone && plan.step(step).kind != StepKind::Pivot
        }
        Cause::Cancelled | Cause::DeadlinePassed | Cause::Forced => true,
    }
}
