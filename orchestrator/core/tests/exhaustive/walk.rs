//! Breadth-first through all worlds, with a look from every saga state at how it can end.

use crate::world::{Participants, World};
use contracts::Outcome;
use saga_core::{
    Event, Flight, Ignored, Moved, Phase, Plan, State, Transition, Wait,
    invariants::{check, check_move},
    start,
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
            if !world.resumed {
                let mut resumed = self.apply(world, Event::ResumeRequested)?;
                resumed.resumed = true;
                worlds.push(resumed);
            }
        }
        Ok(worlds)
    }

    /// A parked leg leaves by an operator's resume or by a late answer.
    fn parked_can_leave(&self, world: &World) -> Result<(), String> {
        let parked = world.saga.waits().filter(|wait| wait.flight == Flight::Parked);
        for Wait { step, leg, attempt, .. } in parked {
            let late = Event::Replied { step, leg, attempt, outcome: Outcome::Done };
            for event in [late, Event::ResumeRequested] {
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

    fn describe(&self, world: &World) -> Vec<String> {
        let mut story = vec![format!("{:?}", world.saga.phase)];
        for (step, spec) in self.plan.steps() {
            let (state, held) = (world.saga.step(step), world.held[step.get()]);
            story.push(format!("{}: {state:?}, held {held:?}", spec.name));
        }
        story
    }
}
