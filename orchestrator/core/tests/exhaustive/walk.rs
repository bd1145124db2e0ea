//! Breadth-first through all worlds, with a look from every saga state at how it can end.

use crate::world::{Participants, World};
use contracts::{Leg, Outcome};
use saga_core::{
    Effect, Event, Flight, Ignored, Moved, Phase, Plan, State, StepIndex, StepState, Transition,
    Try, Verb, Wait,
    invariants::{check, check_move},
    start, verbs,
};
use std::collections::HashSet;

pub type Rule = fn(&Plan, &State, Event) -> Transition;

/// More events than any saga here needs to come to rest.
const PATIENCE: usize = 200;

#[derive(Debug, Default)]
pub struct Explored {
    pub worlds: usize,
    pub moves: usize,
    pub states: usize,
    pub completed: usize,
    pub compensated: usize,
    pub parked: usize,
}

/// Walks all worlds, or tells what is wrong with the first bad one.
pub fn explore(plan: &Plan, rule: Rule, participants: Participants) -> Result<Explored, String> {
    let Moved { state, effects } = start(plan);
    check(plan, &state).map_err(|broken| broken.to_string())?;
    let mut walk = Walk {
        plan,
        rule,
        frontier: Vec::new(),
        worlds: HashSet::new(),
        states: HashSet::new(),
        explored: Explored::default(),
    };
    walk.meet(World::new(state, &effects))?;
    while let Some(world) = walk.frontier.pop() {
        for then in walk.step(&world, participants)? {
            walk.explored.moves += 1;
            walk.meet(then)?;
        }
    }
    Ok(Explored { worlds: walk.worlds.len(), states: walk.states.len(), ..walk.explored })
}

struct Walk<'a> {
    plan: &'a Plan,
    rule: Rule,
    frontier: Vec<World>,
    worlds: HashSet<World>,
    states: HashSet<State>,
    explored: Explored,
}

impl Walk<'_> {
    fn meet(&mut self, world: World) -> Result<(), String> {
        let world = self.settle(world)?;
        if !self.worlds.insert(world) {
            return Ok(());
        }
        if let Some(wrong) = world.wrong(self.plan) {
            return Err(format!("{wrong}: {:?}", self.describe(&world)));
        }
        self.explored.completed += usize::from(world.saga.phase == Phase::Completed);
        self.explored.compensated += usize::from(matches!(world.saga.phase, Phase::Compensated(_)));
        self.explored.parked += usize::from(world.saga.parked().is_some());
        if self.states.insert(world.saga) {
            self.can_rest(world.saga)?;
            self.deadline_is_like_cancel(&world.saga)?;
            self.verbs_are_what_moves(&world.saga)?;
        }
        self.frontier.push(world);
        Ok(())
    }

    /// Drops answers to what is settled, once each of them is seen to change nothing.
    fn settle(&self, world: World) -> Result<World, String> {
        let kept = world.without_stale_answers(self.plan);
        if kept != world {
            let left = kept.answers(self.plan);
            for (step, leg, attempt, outcome) in world.answers(self.plan) {
                if !left.contains(&(step, leg, attempt, outcome)) {
                    let event = Event::Replied { step, leg, attempt, outcome };
                    self.must_ignore(&world.saga, event, "a stale answer")?;
                }
            }
        }
        Ok(kept)
    }

    fn must_ignore(&self, saga: &State, event: Event, what: &str) -> Result<(), String> {
        match (self.rule)(self.plan, saga, event) {
            Transition::Ignored(_) => Ok(()),
            Transition::Moved(_) => Err(format!("L-1 {what} moves the saga: {event:?}")),
        }
    }

    /// Every world that one more thing can lead to.
    fn step(&self, world: &World, participants: Participants) -> Result<Vec<World>, String> {
        let mut worlds = world.handled(self.plan, participants);
        for (step, leg, attempt, outcome) in world.answers(self.plan) {
            let event = Event::Replied { step, leg, attempt, outcome };
            let past = |wait: Wait| (wait.step, wait.leg) == (step, leg) && wait.attempt > attempt;
            if outcome == Outcome::Faulted && world.saga.waits().any(past) {
                self.must_ignore(&world.saga, event, "a past attempt's fault")?;
                continue;
            }
            let then = self.apply(world, event)?;
            self.must_ignore(&then.saga, event, "a duplicate answer")?;
            worlds.push(then);
        }
        for Wait { step, leg, attempt, flight } in world.saga.waits() {
            let past = Event::Woke { step, leg, attempt: attempt - 1 };
            self.must_ignore(&world.saga, past, "the wake-up of a past attempt")?;
            let woken = self.apply(world, Event::Woke { step, leg, attempt })?;
            if flight != Flight::Parked && woken.saga == world.saga {
                return Err(format!("L-2 a wake-up changes nothing: {:?}", self.describe(world)));
            }
            worlds.push(woken);
        }
        worlds.push(self.apply(world, Event::CancelRequested)?);
        if world.saga.parked().is_some() {
            self.parked_can_leave(world)?;
            if !world.operated {
                worlds.extend(self.operate(world)?);
            }
        }
        Ok(worlds)
    }

    /// The worlds after an operator has stepped in. To ask a leg again that is not parked is like
    /// its wake-up with a longer budget: that is checked once per state.
    fn operate(&self, world: &World) -> Result<Vec<World>, String> {
        let mut worlds = Vec::new();
        for verb in verbs(self.plan, &world.saga) {
            if verb == Verb::Cancel {
                continue;
            }
            let mut then = self.apply(world, verb.event())?;
            then.operated = true;
            worlds.push(match verb {
                Verb::Skip { step, leg } => then.by_hand(step, leg),
                Verb::ForceCompensate => then.by_hand(self.plan.pivot(), Leg::Compensation),
                _ => then,
            });
        }
        Ok(worlds)
    }

    /// A parked leg leaves by an operator's word or by a late answer.
    fn parked_can_leave(&self, world: &World) -> Result<(), String> {
        let parked = world.saga.waits().filter(|wait| wait.flight == Flight::Parked);
        for Wait { step, leg, attempt, .. } in parked {
            let late = Event::Replied { step, leg, attempt, outcome: Outcome::Done };
            let retry = Event::RetryRequested { step, leg };
            let skip = Event::SkipRequested { step, leg };
            for event in [late, Event::ResumeRequested, retry, skip] {
                if let Transition::Ignored(why) = (self.rule)(self.plan, &world.saga, event) {
                    return Err(format!("L-3 parked for ever: {event:?} is ignored as {why:?}"));
                }
            }
        }
        Ok(())
    }

    fn apply(&self, world: &World, event: Event) -> Result<World, String> {
        match (self.rule)(self.plan, &world.saga, event) {
            Transition::Ignored(Ignored::Stale) if event == Event::CancelRequested => {
                Err("L-4 a cancel is ignored without a reason".into())
            }
            Transition::Ignored(_) => Ok(*world),
            Transition::Moved(Moved { state, effects }) => {
                check_move(self.plan, &world.saga, &state).map_err(|broken| {
                    format!("{broken} by {event:?}: {:?}", self.describe(world))
                })?;
                Ok(world.moved(state, &effects))
            }
        }
    }

    /// Liveness. If every message is lost from here on, wake-ups alone bring the saga to an ending
    /// or park it; and if every command is answered `done`, it ends.
    fn can_rest(&self, saga: State) -> Result<(), String> {
        let silence = |wait: Wait| match wait.flight {
            Flight::Parked => None,
            _ => Some(Event::Woke { step: wait.step, leg: wait.leg, attempt: wait.attempt }),
        };
        let answers = |wait: Wait| {
            let Wait { step, leg, attempt, .. } = wait;
            Some(Event::Replied { step, leg, attempt, outcome: Outcome::Done })
        };
        let silenced = self.run(saga, silence)?;
        if silenced.is_open() && silenced.parked().is_none() {
            return Err(format!("L-5 met with silence it neither ends nor parks: {saga:?}"));
        }
        if self.run(saga, answers)?.is_open() {
            return Err(format!("L-6 answered with done it does not end: {saga:?}"));
        }
        Ok(())
    }

    fn run(&self, mut saga: State, next: impl Fn(Wait) -> Option<Event>) -> Result<State, String> {
        for _ in 0..PATIENCE {
            let Some(event) = saga.waits().find_map(&next) else { break };
            match (self.rule)(self.plan, &saga, event) {
                Transition::Moved(moved) => saga = moved.state,
                Transition::Ignored(why) => {
                    return Err(format!("L-7 {event:?} is awaited and ignored as {why:?}"));
                }
            }
        }
        Ok(saga)
    }

    /// A deadline goes back exactly when a cancel does; so only the cancel is walked.
    fn deadline_is_like_cancel(&self, saga: &State) -> Result<(), String> {
        let cancel = (self.rule)(self.plan, saga, Event::CancelRequested);
        let deadline = (self.rule)(self.plan, saga, Event::DeadlinePassed);
        let alike = match (cancel, deadline) {
            (Transition::Moved(a), Transition::Moved(b)) => {
                self.plan.steps().all(|(step, _)| a.state.step(step) == b.state.step(step))
            }
            (Transition::Ignored(a), Transition::Ignored(b)) => a == b,
            _ => false,
        };
        alike.then_some(()).ok_or_else(|| format!("L-8 deadline and cancel differ: {saga:?}"))
    }

    /// The verbs that the core lists are those that move the saga, and they are the ones that are
    /// written here a second time, in other words.
    fn verbs_are_what_moves(&self, saga: &State) -> Result<(), String> {
        let listed = verbs(self.plan, saga);
        let pivot = self.plan.pivot();
        let waits = |of: (StepIndex, Leg)| saga.waits().find(|wait| (wait.step, wait.leg) == of);
        let parked = |of| waits(of).is_some_and(|wait| wait.flight == Flight::Parked);
        let running = saga.phase == Phase::Running;
        for verb in every_verb(self.plan) {
            let meant = match verb {
                Verb::Cancel => running && saga.step(pivot) == StepState::Pending,
                Verb::Resume => saga.parked().is_some(),
                Verb::Retry { step, leg } => waits((step, leg)).is_some(),
                Verb::Skip { step, leg } => parked((step, leg)),
                Verb::ForceCompensate => running && parked((pivot, Leg::Action)),
            };
            let Transition::Moved(Moved { state, effects }) =
                (self.rule)(self.plan, saga, verb.event())
            else {
                match meant || listed.contains(&verb) {
                    true => return Err(format!("V-1 {verb:?} is legal and ignored: {saga:?}")),
                    false => continue,
                }
            };
            if !meant || !listed.contains(&verb) {
                return Err(format!("V-2 {verb:?} is not legal and moves: {saga:?}"));
            }
            check_move(self.plan, saga, &state)
                .map_err(|broken| format!("{broken} by {verb:?}: {saga:?}"))?;
            self.verb_does_what_it_says(verb, saga, &state, &effects)?;
        }
        Ok(())
    }

    fn verb_does_what_it_says(
        &self,
        verb: Verb,
        was: &State,
        is: &State,
        effects: &[Effect],
    ) -> Result<(), String> {
        let says = match verb {
            Verb::Retry { step, leg } => {
                let others = |state: &State| -> Vec<_> {
                    state.waits().filter(|wait| wait.step != step).collect()
                };
                let ((StepState::Acting(before), StepState::Acting(after))
                | (StepState::Undoing(before), StepState::Undoing(after))) =
                    (was.step(step), is.step(step))
                else {
                    return Err(format!("V-3 {verb:?} leads elsewhere: {was:?}"));
                };
                let attempt = before.attempt + 1;
                let attempts = self.plan.leg(step, leg).map_or(0, |spec| spec.attempts);
                after == Try { attempt, left: attempts - 1, flight: Flight::Sent }
                    && effects == [Effect::Invoke { step, leg, attempt }]
                    && others(was) == others(is)
            }
            Verb::Skip { step, leg: Leg::Action } => is.step(step) == StepState::Done,
            Verb::Skip { step, leg: Leg::Compensation } => is.step(step) == StepState::Undone,
            Verb::ForceCompensate | Verb::Cancel => {
                matches!(is.phase, Phase::Compensating(_) | Phase::Compensated(_))
            }
            Verb::Resume => is.parked().is_none(),
        };
        says.then_some(()).ok_or_else(|| format!("V-3 {verb:?} does something else: {was:?}"))
    }

    fn describe(&self, world: &World) -> Vec<String> {
        let mut story = vec![format!("{:?}", world.saga.phase)];
        for (step, spec) in self.plan.steps() {
            let (state, held) = (world.saga.step(step), world.held[step.get()]);
            story.push(format!("{}: {state:?}, held {held:?}", spec.name));
        }
        story
    }
}

fn every_verb(plan: &Plan) -> Vec<Verb> {
    let mut verbs = vec![Verb::Cancel, Verb::Resume, Verb::ForceCompensate];
    for (step, _) in plan.steps() {
        for leg in [Leg::Action, Leg::Compensation] {
            verbs.extend([Verb::Retry { step, leg }, Verb::Skip { step, leg }]);
        }
    }
    verbs
}
