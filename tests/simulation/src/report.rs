//! Worlds run, and what they had in them.

use crate::{
    check::Violation,
    faults::{Fault, Tally},
    sabotage::Sabotage,
    trip::Trip,
    world::World,
};
use saga_core::{Catalogue, Patience, Phase};
use std::{collections::HashSet, fmt, time::Duration};

/// Whether the story is kept; it costs time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Yes,
    No,
}

/// Makes worlds. In every third one the orchestrator is hasty: it soon gives up, and parks.
#[derive(Clone)]
pub struct Simulation {
    patient: Catalogue,
    hasty: Catalogue,
    pub sabotage: Option<Sabotage>,
}

impl Default for Simulation {
    fn default() -> Self {
        let hasty = Patience::of(Duration::from_secs(4), 2);
        let hasty_trip = Trip::definition().with_patience(hasty);
        Simulation {
            patient: sagas::catalogue(Patience::default()).with(Trip::definition()),
            hasty: sagas::catalogue(hasty).with(hasty_trip),
            sabotage: None,
        }
    }
}

/// What became of a world.
#[derive(Debug)]
pub struct Outcome {
    pub seed: u64,
    pub violation: Option<Violation>,
    /// Of the saga that the violation concerns.
    pub timeline: String,
    pub sagas: u64,
    pub completed: u64,
    pub compensated: u64,
    pub transitions: u64,
    pub states: HashSet<u64>,
    pub tally: Tally,
}

impl Simulation {
    pub fn sabotaged(sabotage: Sabotage) -> Self {
        Simulation { sabotage: Some(sabotage), ..Simulation::default() }
    }

    /// One world, from its beginning to its rest.
    pub fn world(&self, seed: u64, told: Told) -> Outcome {
        let catalogue = if seed.is_multiple_of(3) { &self.hasty } else { &self.patient };
        let mut world = World::new(seed, self.sabotage, catalogue, told == Told::Yes);
        world.run();
        world.check_rest();
        world.flush();
        let phases: Vec<Phase> = world.store.rows().map(|(_, row)| row.state.phase).collect();
        let completed = phases.iter().filter(|phase| **phase == Phase::Completed).count();
        let compensated =
            phases.iter().filter(|phase| matches!(phase, Phase::Compensated(_))).count();
        let saga = world.violation.as_ref().and_then(|violation| violation.saga);
        Outcome {
            seed,
            timeline: world.timeline.of(saga),
            sagas: world.sagas.len() as u64,
            completed: completed as u64,
            compensated: compensated as u64,
            transitions: world.transitions,
            states: world.states,
            tally: world.tally,
            violation: world.violation,
        }
    }
}

/// Many worlds together.
#[derive(Debug, Default)]
pub struct Report {
    pub seeds: u64,
    pub sagas: u64,
    pub completed: u64,
    pub compensated: u64,
    pub transitions: u64,
    pub states: HashSet<u64>,
    pub tally: Tally,
}

impl Report {
    pub fn add(&mut self, world: &Outcome) {
        self.seeds += 1;
        self.sagas += world.sagas;
        self.completed += world.completed;
        self.compensated += world.compensated;
        self.transitions += world.transitions;
        self.states.extend(&world.states);
        self.tally.merge(&world.tally);
    }

    /// What should have happened and did not: then nothing is known about it.
    pub fn missing(&self) -> Vec<&'static str> {
        let mut missing: Vec<_> = self.tally.never().into_iter().map(Fault::text).collect();
        if self.completed == 0 {
            missing.push("saga completed");
        }
        if self.compensated == 0 {
            missing.push("saga compensated");
        }
        missing
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { seeds, sagas, completed, compensated, transitions, states, tally } = self;
        writeln!(
            f,
            "{seeds} seeds, {sagas} sagas: {completed} completed, {compensated} compensated"
        )?;
        writeln!(f, "{transitions} transitions through {} distinct core states", states.len())?;
        for fault in Fault::ALL {
            writeln!(f, "{:>10}  {}", tally.of(*fault), fault.text())?;
        }
        Ok(())
    }
}
