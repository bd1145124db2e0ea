//! One saga, its participants and the network between them.
//!
//! The network is a set that only grows: a message in it may be delivered at any time, any number
//! of times, or never. That is loss, duplication, delay and reordering in one.

use contracts::{Leg, Outcome};
use saga_core::{Effect, MAX_STEPS, Plan, State, StepIndex, StepKind, StepState};

/// How well the participants keep their side of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Participants {
    Honest,
    /// Repeat the effect of a duplicate command.
    WithoutInbox,
    /// Do the action although its compensation came first.
    WithoutBarrier,
    /// Write a tombstone where the other side may hold an effect, instead of settling it.
    WithoutSettlement,
}

/// What a participant holds for one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Held {
    Nothing,
    Effect,
    /// A call went out and its answer was not recorded: there may be an effect on the other side.
    InDoubt,
    Refused,
    /// Undone before it was done: a later action is refused.
    Tombstone,
    Undone,
    Twice,
    /// An effect on the other side that nobody will ever settle.
    Leaked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub saga: State,
    pub held: [Held; MAX_STEPS],
    /// Messages in the network, a bit set per step; see the constants below.
    network: [u16; MAX_STEPS],
    /// An operator has stepped in; once is enough to get anywhere.
    pub operated: bool,
}

const ACTION: u16 = 1;
const COMPENSATION: u16 = 1 << 1;
const ACTION_DONE: u16 = 1 << 2;
const ACTION_REFUSED: u16 = 1 << 3;
const COMPENSATION_DONE: u16 = 1 << 4;
/// Faults of attempts 1 to 4 of the action, then of the compensation.
const ACTION_FAULTS: u16 = 5;
const COMPENSATION_FAULTS: u16 = 9;
const ATTEMPTS: u16 = 4;

impl World {
    pub fn new(saga: State, effects: &[Effect]) -> Self {
        let held = [Held::Nothing; MAX_STEPS];
        World { saga, held, network: [0; MAX_STEPS], operated: false }.moved(saga, effects)
    }

    /// The saga has moved, and its commands are in the network.
    pub fn moved(mut self, saga: State, effects: &[Effect]) -> Self {
        self.saga = saga;
        for effect in effects {
            if let Effect::Invoke { step, leg, .. } = *effect {
                self.network[step.get()] |= match leg {
                    Leg::Action => ACTION,
                    Leg::Compensation => COMPENSATION,
                };
            }
        }
        self
    }

    /// The worlds in which a participant has handled a command that is in the network.
    pub fn handled(&self, plan: &Plan, participants: Participants) -> Vec<World> {
        let mut worlds = Vec::new();
        for (step, spec) in plan.steps() {
            if self.network[step.get()] & ACTION != 0 {
                self.act(step, spec.kind, participants, &mut worlds);
            }
            if self.network[step.get()] & COMPENSATION != 0 {
                self.undo(step, participants, &mut worlds);
            }
        }
        worlds
    }

    fn act(&self, step: StepIndex, kind: StepKind, who: Participants, worlds: &mut Vec<World>) {
        let barrier = who != Participants::WithoutBarrier;
        match self.held[step.get()] {
            Held::Nothing => {
                worlds.push(self.with(step, Held::Effect, ACTION_DONE));
                if kind.may_refuse() {
                    worlds.push(self.with(step, Held::Refused, ACTION_REFUSED));
                }
                worlds.extend(self.fault(step, Leg::Action, Held::Nothing));
                if kind != StepKind::ReadOnly {
                    worlds.extend(self.fault(step, Leg::Action, Held::InDoubt));
                }
            }
            // The same key settles it: the other side gives the answer it gave before.
            Held::InDoubt => {
                worlds.push(self.with(step, Held::Effect, ACTION_DONE));
                worlds.extend(self.fault(step, Leg::Action, Held::InDoubt));
            }
            Held::Effect if who == Participants::WithoutInbox => {
                worlds.push(self.with(step, Held::Twice, ACTION_DONE));
            }
            Held::Tombstone if !barrier => {
                worlds.push(self.with(step, Held::Effect, ACTION_DONE));
            }
            held @ (Held::Refused | Held::Tombstone | Held::Leaked) => {
                worlds.push(self.with(step, held, ACTION_REFUSED));
            }
            held @ (Held::Effect | Held::Undone | Held::Twice) => {
                worlds.push(self.with(step, held, ACTION_DONE));
            }
        }
    }

    fn undo(&self, step: StepIndex, who: Participants, worlds: &mut Vec<World>) {
        let held = self.held[step.get()];
        let then = match held {
            Held::Nothing => Held::Tombstone,
            Held::InDoubt if who == Participants::WithoutSettlement => Held::Leaked,
            Held::InDoubt => Held::Tombstone,
            Held::Effect => Held::Undone,
            Held::Refused | Held::Tombstone | Held::Undone | Held::Twice | Held::Leaked => held,
        };
        worlds.push(self.with(step, then, COMPENSATION_DONE));
        worlds.extend(self.fault(step, Leg::Compensation, held));
    }

    fn with(&self, step: StepIndex, held: Held, messages: u16) -> World {
        let mut world = *self;
        world.held[step.get()] = held;
        world.network[step.get()] |= messages;
        world
    }

    /// The participant could not, in an attempt that the saga has made, and says so.
    fn fault(&self, step: StepIndex, leg: Leg, held: Held) -> Option<World> {
        let (under_way, bit) = match (leg, self.saga.step(step)) {
            (Leg::Action, StepState::Acting(it)) => (it, ACTION_FAULTS),
            (Leg::Compensation, StepState::Undoing(it)) => (it, COMPENSATION_FAULTS),
            _ => return None,
        };
        let attempt = under_way.attempt.min(ATTEMPTS) - 1;
        Some(self.with(step, held, 1 << (bit + attempt)))
    }

    /// Every answer that may arrive now.
    pub fn answers(&self, plan: &Plan) -> Vec<(StepIndex, Leg, u16, Outcome)> {
        let mut answers = Vec::new();
        for (step, _) in plan.steps() {
            let network = self.network[step.get()];
            let attempt = match self.saga.step(step) {
                StepState::Acting(it) | StepState::Undoing(it) => it.attempt,
                _ => 1,
            };
            for (bit, leg, outcome) in [
                (ACTION_DONE, Leg::Action, Outcome::Done),
                (ACTION_REFUSED, Leg::Action, Outcome::Refused),
                (COMPENSATION_DONE, Leg::Compensation, Outcome::Done),
            ] {
                if network & bit != 0 {
                    answers.push((step, leg, attempt, outcome));
                }
            }
            for fault in 0..ATTEMPTS {
                for (first, leg) in
                    [(ACTION_FAULTS, Leg::Action), (COMPENSATION_FAULTS, Leg::Compensation)]
                {
                    if network & (1 << (first + fault)) != 0 {
                        answers.push((step, leg, fault + 1, Outcome::Faulted));
                    }
                }
            }
        }
        answers
    }

    /// Forgets answers that can only be stale from here on; keeps the number of worlds small. That
    /// they are stale is checked where this is called.
    pub fn without_stale_answers(mut self, plan: &Plan) -> Self {
        for (step, _) in plan.steps() {
            let commands = ACTION | COMPENSATION;
            match self.saga.step(step) {
                StepState::Done | StepState::Refused | StepState::Undone => {
                    self.network[step.get()] &= commands;
                }
                StepState::Undoing(_) => {
                    let undo = COMPENSATION_DONE | (((1 << ATTEMPTS) - 1) << COMPENSATION_FAULTS);
                    self.network[step.get()] &= commands | undo;
                }
                StepState::Pending | StepState::Acting(_) => {}
            }
        }
        self
    }

    /// An operator vouches for the leg, and has made it true: done or undone by hand, and kept from
    /// happening otherwise.
    pub fn by_hand(mut self, step: StepIndex, leg: Leg) -> Self {
        let held = &mut self.held[step.get()];
        *held = match (leg, *held) {
            (_, Held::Twice | Held::Leaked) => *held,
            (Leg::Action, _) => Held::Effect,
            (Leg::Compensation, Held::Effect) => Held::Undone,
            (Leg::Compensation, Held::Nothing | Held::InDoubt) => Held::Tombstone,
            (Leg::Compensation, Held::Refused | Held::Tombstone | Held::Undone) => *held,
        };
        self
    }

    /// What is wrong with this world, if anything.
    pub fn wrong(&self, plan: &Plan) -> Option<&'static str> {
        use saga_core::Phase;
        for (step, spec) in plan.steps() {
            let held = self.held[step.get()];
            let effect = matches!(held, Held::Effect | Held::InDoubt | Held::Twice | Held::Leaked);
            let harmless = spec.kind == StepKind::ReadOnly;
            match self.saga.phase {
                _ if held == Held::Twice => return Some("W-1 an effect happened twice"),
                _ if held == Held::Leaked => return Some("W-2 an effect is left unsettled"),
                Phase::Completed if held != Held::Effect => {
                    return Some("W-3 completed, and a step has no effect");
                }
                Phase::Compensated(_) if effect && !harmless => {
                    return Some("W-4 compensated, and an effect is left");
                }
                Phase::Compensating(_) if effect && spec.kind == StepKind::Pivot => {
                    return Some("W-5 going back although the pivot has happened");
                }
                _ => {}
            }
        }
        None
    }
}
