//! The rules with one mistake each. Every one of them must be found.

use crate::{walk::Rule, world::Participants};
use contracts::{Leg, Outcome};
use saga_core::{
    Cause, Effect, Event, Flight, Ignored, Moved, Phase, Plan, State, StepIndex, StepKind,
    StepState, Transition, Try, Wait, transition,
};

pub const ALL: &[(&str, Rule, Participants)] = &[
    ("silence is taken for a refusal", silence_is_refusal, Participants::Honest),
    ("a fault is taken for a refusal", fault_is_refusal, Participants::Honest),
    ("cancel forgets the step under way", cancel_forgets, Participants::Honest),
    ("an unanswered pivot goes backward", pivot_goes_back, Participants::Honest),
    ("cancel is honoured after the pivot was asked", cancel_past_pivot, Participants::Honest),
    ("a refusal undoes the refused step", refusal_undoes_itself, Participants::Honest),
    ("a failing compensation is skipped", faulted_undo_is_skipped, Participants::Honest),
    ("an unanswered compensation is skipped", silent_undo_is_skipped, Participants::Honest),
    ("a late answer does not un-park", late_answer_ignored, Participants::Honest),
    ("a duplicate fault burns an attempt", duplicate_fault_counts, Participants::Honest),
    ("a late answer to the action ends its undoing", late_done_applied, Participants::Honest),
    ("the action's attempts leak into the undo", budget_leaks, Participants::Honest),
    ("every stage is undone at once", undo_all_at_once, Participants::Honest),
    ("a parallel stage is left too early", stage_left_early, Participants::Honest),
    ("a wake-up does nothing", wake_up_ignored, Participants::Honest),
    ("a parked saga cannot be resumed", resume_ignored, Participants::Honest),
    ("a retry keeps the spent budget", retry_keeps_budget, Participants::Honest),
    ("a retry counts from 1 again", retry_counts_anew, Participants::Honest),
    ("a retry asks what is not waited for", retry_of_anything, Participants::Honest),
    ("a leg that is being asked is skipped", skip_of_asked, Participants::Honest),
    ("a parked leg cannot be skipped", skip_ignored, Participants::Honest),
    ("a skipped compensation skips the others", skip_ends_it, Participants::Honest),
    ("a pivot that is being asked is forced back", force_of_asked, Participants::Honest),
    ("a done pivot is forced back", force_of_done, Participants::Honest),
    ("a saga that is forced back undoes nothing", force_undoes_nothing, Participants::Honest),
    ("a forced pivot is left acting", force_leaves_pivot, Participants::Honest),
    ("a saga that has ended is retried", retry_after_end, Participants::Honest),
    ("participants have no inbox", transition, Participants::WithoutInbox),
    ("participants have no barrier", transition, Participants::WithoutBarrier),
    ("participants leave effects in doubt", transition, Participants::WithoutSettlement),
];

fn replied(step: StepIndex, leg: Leg, attempt: u16, outcome: Outcome) -> Event {
    Event::Replied { step, leg, attempt, outcome }
}

fn kind(plan: &Plan, step: StepIndex) -> StepKind {
    plan.step(step).kind
}

/// The wait that the event would end for good: its attempt is out and no other is left.
fn spent(state: &State, event: Event) -> Option<Wait> {
    let Event::Woke { step, leg, attempt } = event else { return None };
    let (StepState::Acting(it) | StepState::Undoing(it)) = state.step(step) else { return None };
    state.waits().find(|wait| {
        wait.step == step
            && wait.leg == leg
            && wait.attempt == attempt
            && wait.flight == Flight::Sent
            && it.left == 0
    })
}

fn silence_is_refusal(plan: &Plan, state: &State, event: Event) -> Transition {
    match spent(state, event) {
        Some(Wait { step, leg: Leg::Action, attempt, .. })
            if kind(plan, step) == StepKind::Compensatable =>
        {
            transition(plan, state, replied(step, Leg::Action, attempt, Outcome::Refused))
        }
        _ => transition(plan, state, event),
    }
}

fn fault_is_refusal(plan: &Plan, state: &State, event: Event) -> Transition {
    match event {
        Event::Replied { step, leg: Leg::Action, attempt, outcome: Outcome::Faulted }
            if kind(plan, step) == StepKind::Compensatable =>
        {
            transition(plan, state, replied(step, Leg::Action, attempt, Outcome::Refused))
        }
        _ => transition(plan, state, event),
    }
}

fn cancel_forgets(plan: &Plan, state: &State, event: Event) -> Transition {
    let acting = state.waits().find(|wait| wait.leg == Leg::Action);
    match (event, acting) {
        (Event::CancelRequested | Event::DeadlinePassed, Some(Wait { step, attempt, .. }))
            if kind(plan, step) == StepKind::Compensatable =>
        {
            transition(plan, state, replied(step, Leg::Action, attempt, Outcome::Refused))
        }
        _ => transition(plan, state, event),
    }
}

fn pivot_goes_back(plan: &Plan, state: &State, event: Event) -> Transition {
    match spent(state, event) {
        Some(Wait { step, attempt, .. }) if kind(plan, step) == StepKind::Pivot => {
            transition(plan, state, replied(step, Leg::Action, attempt, Outcome::Refused))
        }
        _ => transition(plan, state, event),
    }
}

fn cancel_past_pivot(plan: &Plan, state: &State, event: Event) -> Transition {
    let asked = state.waits().find(|wait| kind(plan, wait.step) == StepKind::Pivot);
    match (event, asked) {
        (Event::CancelRequested | Event::DeadlinePassed, Some(Wait { step, attempt, .. })) => {
            transition(plan, state, replied(step, Leg::Action, attempt, Outcome::Refused))
        }
        _ => transition(plan, state, event),
    }
}

/// The state with some steps replaced.
fn edited(plan: &Plan, state: &State, edit: impl Fn(StepIndex, StepState) -> StepState) -> State {
    let steps: Vec<_> =
        plan.steps().map(|(step, _)| (step, edit(step, state.step(step)))).collect();
    State::restore(state.phase, steps)
}

const SENT: Try = Try { attempt: 1, left: 1, flight: Flight::Sent };

fn refusal_undoes_itself(plan: &Plan, state: &State, event: Event) -> Transition {
    match (event, transition(plan, state, event)) {
        (Event::Replied { step, outcome: Outcome::Refused, .. }, Transition::Moved(moved))
            if kind(plan, step) == StepKind::Compensatable =>
        {
            let state = edited(plan, &moved.state, |at, was| match was {
                StepState::Refused if at == step => StepState::Undoing(SENT),
                _ => was,
            });
            Transition::Moved(Moved { state, ..moved })
        }
        (_, other) => other,
    }
}

fn faulted_undo_is_skipped(plan: &Plan, state: &State, event: Event) -> Transition {
    match event {
        Event::Replied { step, leg: Leg::Compensation, attempt, outcome: Outcome::Faulted } => {
            transition(plan, state, replied(step, Leg::Compensation, attempt, Outcome::Done))
        }
        _ => transition(plan, state, event),
    }
}

fn silent_undo_is_skipped(plan: &Plan, state: &State, event: Event) -> Transition {
    match spent(state, event) {
        Some(Wait { step, leg: Leg::Compensation, attempt, .. }) => {
            transition(plan, state, replied(step, Leg::Compensation, attempt, Outcome::Done))
        }
        _ => transition(plan, state, event),
    }
}

fn late_answer_ignored(plan: &Plan, state: &State, event: Event) -> Transition {
    match event {
        Event::Replied { step, .. }
            if state.waits().any(|wait| wait.step == step && wait.flight == Flight::Parked) =>
        {
            Transition::Ignored(Ignored::Stale)
        }
        _ => transition(plan, state, event),
    }
}

fn duplicate_fault_counts(plan: &Plan, state: &State, event: Event) -> Transition {
    let Event::Replied { step, leg, outcome: Outcome::Faulted, .. } = event else {
        return transition(plan, state, event);
    };
    // Applies the fault to whatever attempt is under way.
    match state.step(step) {
        StepState::Acting(it) | StepState::Undoing(it) if it.flight == Flight::Sent => {
            transition(plan, state, replied(step, leg, it.attempt, Outcome::Faulted))
        }
        StepState::Acting(it) | StepState::Undoing(it) if it.left > 0 => {
            let burnt = Try { left: it.left - 1, attempt: it.attempt + 1, ..it };
            let state = edited(plan, state, |at, was| match was {
                StepState::Acting(_) if at == step => StepState::Acting(burnt),
                StepState::Undoing(_) if at == step => StepState::Undoing(burnt),
                _ => was,
            });
            Transition::Moved(Moved { state, effects: Vec::new() })
        }
        _ => transition(plan, state, event),
    }
}

fn late_done_applied(plan: &Plan, state: &State, event: Event) -> Transition {
    match (event, transition(plan, state, event)) {
        (
            Event::Replied { step, leg: Leg::Action, attempt, .. },
            Transition::Ignored(Ignored::Stale),
        ) if matches!(state.step(step), StepState::Undoing(_)) => {
            transition(plan, state, replied(step, Leg::Compensation, attempt, Outcome::Done))
        }
        (_, other) => other,
    }
}

fn budget_leaks(plan: &Plan, state: &State, event: Event) -> Transition {
    match transition(plan, state, event) {
        Transition::Moved(moved) => {
            let leaked = edited(plan, &moved.state, |step, now| match (state.step(step), now) {
                (StepState::Acting(was), StepState::Undoing(it)) => {
                    StepState::Undoing(Try { left: was.left, ..it })
                }
                _ => now,
            });
            Transition::Moved(Moved { state: leaked, ..moved })
        }
        ignored => ignored,
    }
}

fn undo_all_at_once(plan: &Plan, state: &State, event: Event) -> Transition {
    match transition(plan, state, event) {
        Transition::Moved(moved) if matches!(moved.state.phase, Phase::Compensating(_)) => {
            let state = edited(plan, &moved.state, |step, now| match now {
                StepState::Done if kind(plan, step) == StepKind::Compensatable => {
                    StepState::Undoing(SENT)
                }
                _ => now,
            });
            Transition::Moved(Moved { state, ..moved })
        }
        other => other,
    }
}

fn stage_left_early(plan: &Plan, state: &State, event: Event) -> Transition {
    match transition(plan, state, event) {
        Transition::Moved(moved) if moved.state.phase == Phase::Running => {
            let pivot = plan.pivot();
            let some_done = plan.steps().any(|(step, _)| {
                plan.stage_of(step) + 1 == plan.stage_of(pivot)
                    && moved.state.step(step) == StepState::Done
            });
            let state = edited(plan, &moved.state, |step, now| match now {
                StepState::Pending if step == pivot && some_done => StepState::Acting(SENT),
                _ => now,
            });
            Transition::Moved(Moved { state, ..moved })
        }
        other => other,
    }
}

fn wake_up_ignored(plan: &Plan, state: &State, event: Event) -> Transition {
    match event {
        Event::Woke { .. } => Transition::Ignored(Ignored::Stale),
        _ => transition(plan, state, event),
    }
}

fn resume_ignored(plan: &Plan, state: &State, event: Event) -> Transition {
    match event {
        Event::ResumeRequested => Transition::Ignored(Ignored::NothingParked),
        _ => transition(plan, state, event),
    }
}

/// Moves as the rules do, and then changes what the step has become.
fn after(
    plan: &Plan,
    state: &State,
    event: Event,
    edit: impl Fn(StepIndex, StepState) -> StepState,
) -> Transition {
    match transition(plan, state, event) {
        Transition::Moved(moved) => {
            let state = edited(plan, &moved.state, edit);
            Transition::Moved(Moved { state, ..moved })
        }
        ignored => ignored,
    }
}

fn retry_keeps_budget(plan: &Plan, state: &State, event: Event) -> Transition {
    let Event::RetryRequested { step, .. } = event else { return transition(plan, state, event) };
    let (StepState::Acting(was) | StepState::Undoing(was)) = state.step(step) else {
        return transition(plan, state, event);
    };
    after(plan, state, event, |at, now| match now {
        StepState::Acting(it) if at == step => StepState::Acting(Try { left: was.left, ..it }),
        StepState::Undoing(it) if at == step => StepState::Undoing(Try { left: was.left, ..it }),
        _ => now,
    })
}

fn retry_counts_anew(plan: &Plan, state: &State, event: Event) -> Transition {
    let Event::RetryRequested { step, .. } = event else { return transition(plan, state, event) };
    after(plan, state, event, |at, now| match now {
        StepState::Acting(it) if at == step => StepState::Acting(Try { attempt: 1, ..it }),
        StepState::Undoing(it) if at == step => StepState::Undoing(Try { attempt: 1, ..it }),
        _ => now,
    })
}

fn retry_of_anything(plan: &Plan, state: &State, event: Event) -> Transition {
    match (event, transition(plan, state, event)) {
        (Event::RetryRequested { step, leg: Leg::Action }, Transition::Ignored(_))
            if state.step(step) == StepState::Done =>
        {
            let effects = vec![Effect::Invoke { step, leg: Leg::Action, attempt: 2 }];
            Transition::Moved(Moved { state: *state, effects })
        }
        (_, other) => other,
    }
}

/// As if the leg were answered with done, whatever it is at.
fn skip_of_asked(plan: &Plan, state: &State, event: Event) -> Transition {
    match event {
        Event::SkipRequested { step, leg } => {
            transition(plan, state, replied(step, leg, 1, Outcome::Done))
        }
        _ => transition(plan, state, event),
    }
}

fn skip_ignored(plan: &Plan, state: &State, event: Event) -> Transition {
    match event {
        Event::SkipRequested { .. } => Transition::Ignored(Ignored::StillAsked),
        _ => transition(plan, state, event),
    }
}

fn skip_ends_it(plan: &Plan, state: &State, event: Event) -> Transition {
    match (event, transition(plan, state, event)) {
        (Event::SkipRequested { leg: Leg::Compensation, .. }, Transition::Moved(moved)) => {
            let Phase::Compensating(cause) = moved.state.phase else {
                return Transition::Moved(moved);
            };
            let steps = plan.steps().map(|(step, _)| (step, StepState::Undone));
            let state = State::restore(Phase::Compensated(cause), steps);
            Transition::Moved(Moved { state, effects: Vec::new() })
        }
        (_, other) => other,
    }
}

fn force_of_asked(plan: &Plan, state: &State, event: Event) -> Transition {
    let pivot = plan.pivot();
    let parked = edited(plan, state, |step, was| match was {
        StepState::Acting(it) if step == pivot => {
            StepState::Acting(Try { left: 0, flight: Flight::Parked, ..it })
        }
        _ => was,
    });
    match event {
        Event::ForceCompensateRequested => transition(plan, &parked, event),
        _ => transition(plan, state, event),
    }
}

fn force_of_done(plan: &Plan, state: &State, event: Event) -> Transition {
    let pivot = plan.pivot();
    match (event, transition(plan, state, event)) {
        (Event::ForceCompensateRequested, Transition::Ignored(Ignored::PivotDone)) => {
            let asked = edited(plan, state, |step, was| match was {
                _ if step == pivot => {
                    StepState::Acting(Try { attempt: 1, left: 0, flight: Flight::Parked })
                }
                _ if plan.stage_of(step) > plan.stage_of(pivot) => StepState::Pending,
                _ => was,
            });
            transition(plan, &asked, event)
        }
        (_, other) => other,
    }
}

fn force_undoes_nothing(plan: &Plan, state: &State, event: Event) -> Transition {
    match (event, transition(plan, state, event)) {
        (Event::ForceCompensateRequested, Transition::Moved(moved)) => {
            let steps: Vec<_> =
                plan.steps().map(|(step, _)| (step, moved.state.step(step))).collect();
            let state = State::restore(Phase::Compensated(Cause::Forced), steps);
            Transition::Moved(Moved { state, effects: Vec::new() })
        }
        (_, other) => other,
    }
}

fn force_leaves_pivot(plan: &Plan, state: &State, event: Event) -> Transition {
    let pivot = plan.pivot();
    let was = state.step(pivot);
    match event {
        Event::ForceCompensateRequested => {
            after(plan, state, event, |step, now| if step == pivot { was } else { now })
        }
        _ => transition(plan, state, event),
    }
}

fn retry_after_end(plan: &Plan, state: &State, event: Event) -> Transition {
    match (event, transition(plan, state, event)) {
        (Event::RetryRequested { .. }, Transition::Ignored(Ignored::Over)) => {
            Transition::Moved(Moved { state: *state, effects: Vec::new() })
        }
        (_, other) => other,
    }
}
