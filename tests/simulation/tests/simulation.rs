//! The short form of `make sim`, what must fail, and what has failed before.

use simulation::{Outcome, Report, Sabotage, Simulation, Told, Violation};
use std::time::{Duration, Instant};

/// Tries seeds until the time is over, at least as many as named.
fn try_seeds(simulation: &Simulation, from: u64, at_least: u64, limit: Duration) -> Report {
    let began = Instant::now();
    let mut report = Report::default();
    for seed in from.. {
        if report.seeds >= at_least && began.elapsed() >= limit {
            break;
        }
        let world = simulation.world(seed, Told::No);
        expect_sound(simulation, &world);
        report.add(&world);
    }
    report
}

fn expect_sound(simulation: &Simulation, world: &Outcome) {
    if let Some(Violation { saga, what }) = &world.violation {
        let seed = world.seed;
        let timeline = simulation.world(seed, Told::Yes).timeline;
        panic!(
            "{timeline}\nseed {seed}, saga {saga:?}: {what}\nreplay: cargo run -p simulation --bin sim -- --seed {seed}"
        );
    }
}

#[test]
fn whatever_goes_wrong_every_saga_ends_with_all_effects_once_or_none_left() {
    let report = try_seeds(&Simulation::default(), 1, 1_200, Duration::from_secs(4));
    println!("{report}");
    assert_eq!(report.missing(), [""; 0], "never happened, so nothing is known about it");
}

#[test]
fn every_sabotage_is_found_within_a_bounded_number_of_seeds() {
    for sabotage in Sabotage::ALL {
        let simulation = Simulation::sabotaged(*sabotage);
        let found = (1..=1_000).map(|seed| simulation.world(seed, Told::No)).find_map(|world| {
            let Violation { what, .. } = world.violation?;
            Some((world.seed, what))
        });
        let Some((seed, what)) = found else {
            panic!("{} ({}) is not found", sabotage.word(), sabotage.text());
        };
        println!("{:<12} found by seed {seed}: {what}", sabotage.word());
    }
}

#[test]
fn the_same_seed_is_the_same_world() {
    let simulation = Simulation::default();
    for seed in [7, 8, 9] {
        let [one, other] = [(); 2].map(|()| simulation.world(seed, Told::Yes));
        assert!(!one.timeline.is_empty(), "there is a story to compare");
        assert_eq!(one.timeline, other.timeline);
        let quiet = simulation.world(seed, Told::No);
        assert_eq!(one.transitions, quiet.transitions, "telling the story does not change it");
    }
}

#[test]
fn seeds_that_failed_once_do_not_fail_again() {
    let simulation = Simulation::default();
    let seeds = include_str!("../seeds/regressions");
    for line in seeds.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let seed = line.split_whitespace().next().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| panic!("begins with no seed: {line}"));
        expect_sound(&simulation, &simulation.world(seed, Told::No));
    }
}
