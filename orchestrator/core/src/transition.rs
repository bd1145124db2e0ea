//! The only place where anything is decided.

use crate::{
    Cause, Effect, Ending, Event, Flight, Ignored, Moved, Phase, Plan, State, StepIndex, StepKind,
    StepState, Transition, Try,
};
use contracts::{Leg, Outcome};

/// A new saga: its first stage is asked for.
pub fn start(plan: &Plan) -> Moved {
    let mut saga = Mover { plan, state: State::restore(Phase::Running, []), effects: Vec::new() };
    saga.advance();
    saga.moved()
}

/// What `event` makes of a saga. Total: every state has an answer to every event.
pub fn transition(plan: &Plan, state: &State, event: Event) -> Transition {
    let mut saga = Mover { plan, state: *state, effects: Vec::new() };
    let outcome = match (state.phase, event) {
        (Phase::Completed | Phase::Compensated(_), _) => Err(Ignored::Over),
        (_, Event::Replied { step, leg, attempt, outcome }) => {
            saga.replied(step, leg, attempt, outcome)
        }
        (_, Event::Woke { step, leg, attempt }) => saga.woke(step, leg, attempt),
        (Phase::Running, Event::CancelRequested) => saga.turn_round(Cause::Cancelled),
        (Phase::Running, Event::DeadlinePassed) => saga.turn_round(Cause::DeadlinePassed),
        (Phase::Compensating(_), Event::CancelRequested | Event::DeadlinePassed) => {
            Err(Ignored::AlreadyCompensating)
        }
        (_, Event::ResumeRequested) => saga.resume(),
        (_, Event::RetryRequested { step, leg }) => saga.retry(step, leg),
        (_, Event::SkipRequested { step, leg }) => saga.skip(step, leg),
        (Phase::Running, Event::ForceCompensateRequested) => saga.force_compensate(),
        (Phase::Compensating(_), Event::ForceCompensateRequested) => {
            Err(Ignored::AlreadyCompensating)
        }
    };
    match outcome {
        Ok(()) => Transition::Moved(saga.moved()),
        Err(why) => Transition::Ignored(why),
    }
}

/// A saga on the move.
struct Mover<'a> {
    plan: &'a Plan,
    state: State,
    effects: Vec<Effect>,
}

impl Mover<'_> {
    fn moved(self) -> Moved {
        Moved { state: self.state, effects: self.effects }
    }

    /// The attempt that the leg waits for; anything else is an answer from the past.
    fn under_way(&self, step: StepIndex, leg: Leg) -> Result<Try, Ignored> {
        match (leg, self.state.step(step)) {
            (Leg::Action, StepState::Acting(under_way)) => Ok(under_way),
            (Leg::Compensation, StepState::Undoing(under_way)) => Ok(under_way),
            _ => Err(Ignored::Stale),
        }
    }

    fn replied(
        &mut self,
        step: StepIndex,
        leg: Leg,
        attempt: u16,
        outcome: Outcome,
    ) -> Result<(), Ignored> {
        let under_way = self.under_way(step, leg)?;
        let kind = self.plan.step(step).kind;
        match (leg, outcome) {
            (_, Outcome::Done) => self.done(step, leg),
            (Leg::Action, Outcome::Refused) if kind.may_refuse() => {
                self.state.set(step, StepState::Refused);
                self.go_back(Cause::Refused(step));
            }
            // A fault speaks for its own attempt; and a refusal from whom may not refuse is a fault.
            (_, Outcome::Faulted | Outcome::Refused) => {
                if under_way.attempt != attempt || under_way.flight != Flight::Sent {
                    return Err(Ignored::Stale);
                }
                self.faulted(step, leg, under_way);
            }
        }
        Ok(())
    }

    fn done(&mut self, step: StepIndex, leg: Leg) {
        match leg {
            Leg::Action => {
                self.state.set(step, StepState::Done);
                self.advance();
            }
            Leg::Compensation => {
                self.state.set(step, StepState::Undone);
                self.retreat();
            }
        }
    }

    /// The participant has retried as long as it may. Before the pivot that ends the way forward;
    /// where there is no other way the leg rests and is asked again.
    fn faulted(&mut self, step: StepIndex, leg: Leg, under_way: Try) {
        if self.may_give_up(step, leg) {
            self.go_back(Cause::Faulted(step));
        } else if under_way.left > 0 {
            self.put(step, leg, under_way.next(Flight::Resting));
        } else {
            self.put(step, leg, Try { flight: Flight::Parked, ..under_way });
        }
    }

    fn woke(&mut self, step: StepIndex, leg: Leg, attempt: u16) -> Result<(), Ignored> {
        let under_way = self.under_way(step, leg)?;
        if under_way.attempt != attempt {
            return Err(Ignored::Stale);
        }
        match under_way.flight {
            Flight::Parked => return Err(Ignored::Stale),
            Flight::Resting => self.send(step, leg, Try { flight: Flight::Sent, ..under_way }),
            Flight::Sent if under_way.left > 0 => {
                self.send(step, leg, under_way.next(Flight::Sent));
            }
            Flight::Sent if self.may_give_up(step, leg) => self.go_back(Cause::Unanswered(step)),
            Flight::Sent => self.put(step, leg, Try { flight: Flight::Parked, ..under_way }),
        }
        Ok(())
    }

    fn resume(&mut self) -> Result<(), Ignored> {
        let parked: Vec<_> =
            self.state.waits().filter(|wait| wait.flight == Flight::Parked).collect();
        if parked.is_empty() {
            return Err(Ignored::NothingParked);
        }
        for wait in parked {
            self.ask_again(wait.step, wait.leg, wait.attempt);
        }
        Ok(())
    }

    fn retry(&mut self, step: StepIndex, leg: Leg) -> Result<(), Ignored> {
        let under_way = self.under_way(step, leg).map_err(|_| Ignored::NotAwaited)?;
        self.ask_again(step, leg, under_way.attempt);
        Ok(())
    }

    /// The next attempt, with a fresh budget.
    fn ask_again(&mut self, step: StepIndex, leg: Leg, attempt: u16) {
        let budget = self.budget(step, leg);
        self.send(step, leg, Try { attempt: attempt.saturating_add(1), ..budget });
    }

    /// Only what is parked can be vouched for. While a leg is being asked the participant may be
    /// doing it at this moment: done by hand as well it would be done twice. So no compensatable
    /// action is ever skipped (they do not park), and no compensation ever undoes a mere promise.
    fn skip(&mut self, step: StepIndex, leg: Leg) -> Result<(), Ignored> {
        self.parked(step, leg)?;
        self.done(step, leg);
        Ok(())
    }

    fn parked(&self, step: StepIndex, leg: Leg) -> Result<(), Ignored> {
        match self.under_way(step, leg) {
            Ok(Try { flight: Flight::Parked, .. }) => Ok(()),
            Ok(_) => Err(Ignored::StillAsked),
            Err(_) => Err(Ignored::NotAwaited),
        }
    }

    /// Back from a pivot of which nobody knows whether it happened, on an operator's word. As with
    /// a skip the pivot must be parked: an attempt under way could still take effect.
    fn force_compensate(&mut self) -> Result<(), Ignored> {
        let pivot = self.plan.pivot();
        match self.state.step(pivot) {
            StepState::Pending => return Err(Ignored::PivotNotAsked),
            StepState::Acting(_) => self.parked(pivot, Leg::Action)?,
            _ => return Err(Ignored::PivotDone),
        }
        self.state.set(pivot, StepState::Undone);
        self.go_back(Cause::Forced);
        Ok(())
    }

    /// Go back if that is still possible: not once the pivot has been asked for.
    fn turn_round(&mut self, cause: Cause) -> Result<(), Ignored> {
        if self.state.step(self.plan.pivot()) != StepState::Pending {
            return Err(Ignored::PastPivot);
        }
        self.go_back(cause);
        Ok(())
    }

    /// Only an action that can be undone (or leaves nothing) may be given up.
    fn may_give_up(&self, step: StepIndex, leg: Leg) -> bool {
        leg == Leg::Action
            && matches!(self.plan.step(step).kind, StepKind::Compensatable | StepKind::ReadOnly)
    }

    /// Forward: ask for the first stage that is not done, unless it is under way.
    fn advance(&mut self) {
        let plan = self.plan;
        for stage in plan.stages() {
            let stage: Vec<StepIndex> = stage.collect();
            if stage.iter().all(|&step| self.state.step(step) == StepState::Done) {
                continue;
            }
            for step in stage {
                if self.state.step(step) == StepState::Pending {
                    self.send(step, Leg::Action, self.budget(step, Leg::Action));
                }
            }
            return;
        }
        self.state.phase = Phase::Completed;
        self.effects.push(Effect::Announce(Ending::Completed));
    }

    fn go_back(&mut self, cause: Cause) {
        self.state.phase = Phase::Compensating(cause);
        let plan = self.plan;
        for (step, spec) in plan.steps() {
            let acting = matches!(self.state.step(step), StepState::Acting(_));
            if acting && spec.kind == StepKind::ReadOnly {
                self.state.set(step, StepState::Undone);
            }
        }
        self.retreat();
    }

    /// Backward: undo the last stage of which something may be left, its steps together, and wait
    /// for all of them before the stage before it.
    fn retreat(&mut self) {
        let Phase::Compensating(cause) = self.state.phase else { return };
        let plan = self.plan;
        for stage in plan.stages().rev() {
            let stage: Vec<StepIndex> = stage.collect();
            let undoing = |step| matches!(self.state.step(step), StepState::Undoing(_));
            let mut busy = stage.iter().copied().any(undoing);
            for step in stage {
                if self.state.needs_undo(plan, step) {
                    self.send(step, Leg::Compensation, self.budget(step, Leg::Compensation));
                    busy = true;
                }
            }
            if busy {
                return;
            }
        }
        self.state.phase = Phase::Compensated(cause);
        self.effects.push(Effect::Announce(Ending::Compensated(cause)));
    }

    fn budget(&self, step: StepIndex, leg: Leg) -> Try {
        let attempts = self.plan.leg(step, leg).map_or(1, |spec| spec.attempts);
        Try { attempt: 1, left: attempts.saturating_sub(1), flight: Flight::Sent }
    }

    fn put(&mut self, step: StepIndex, leg: Leg, under_way: Try) {
        let step_state = match leg {
            Leg::Action => StepState::Acting(under_way),
            Leg::Compensation => StepState::Undoing(under_way),
        };
        self.state.set(step, step_state);
    }

    fn send(&mut self, step: StepIndex, leg: Leg, under_way: Try) {
        self.put(step, leg, under_way);
        self.effects.push(Effect::Invoke { step, leg, attempt: under_way.attempt });
    }
}

impl Try {
    fn next(self, flight: Flight) -> Try {
        Try { attempt: self.attempt.saturating_add(1), left: self.left.saturating_sub(1), flight }
    }
}
