//! A random mix: everything once in a random order, then everything again.

use super::Blow;
use crate::{
    fault::{Fault, Peer},
    scenario::{Needs, SCENARIOS, Scenario},
};
use std::time::Duration;
use testkit::Random;

/// A fault lasts for at most this part of the whole.
pub(super) const SHARE: u32 = 16;
/// Of a hundred faults, so many come while another one lasts.
const OVERLAP: usize = 40;
const SHORTEST: Duration = Duration::from_secs(1);

pub(super) struct Mix {
    random: Random,
    able: Needs,
    instances: u16,
    longest: Duration,
    deck: Vec<&'static Scenario>,
}

impl Mix {
    pub(super) fn new(random: Random, able: Needs, instances: u16, longest: Duration) -> Self {
        Mix { random, able, instances, longest, deck: Vec::new() }
    }

    /// One fault, or two that overlap, and how much later the second one comes.
    pub(super) fn next(&mut self) -> (Vec<Blow>, Duration) {
        let first = self.draw();
        let apart = Duration::from_millis(self.random.below(1000) as u64);
        let mut blows = vec![first];
        if self.random.percent(OVERLAP) {
            let second = self.draw();
            if may_overlap(&blows[0].0, &second.0) {
                blows.push(second);
            } else {
                // Both at once would be one of them.
                blows = vec![second];
            }
        }
        (blows, apart)
    }

    fn draw(&mut self) -> Blow {
        if self.deck.is_empty() {
            let able = self.able;
            let fits = |needs: Needs| {
                needs.cluster == able.cluster
                    && (able.clocks || !needs.clocks)
                    && (able.links || !needs.links)
            };
            self.deck = SCENARIOS.iter().filter(|scenario| fits(scenario.needs())).collect();
            for place in (1..self.deck.len()).rev() {
                self.deck.swap(place, self.random.below(place + 1));
            }
        }
        let Some(scenario) = self.deck.pop() else {
            return (Fault::MemoryAlarm, SHORTEST);
        };
        let round = self.random.below(6);
        let fault = scenario.fault(&mut self.random, round, self.instances);
        (fault, scenario.hold().min(self.longest).max(SHORTEST))
    }
}

/// Two faults that hit the same do not; and one kills whoever consumes a queue, so that nothing else
/// may be done to them.
fn may_overlap(one: &Fault, other: &Fault) -> bool {
    let alone = |fault: &Fault| matches!(fault, Fault::QueueLost(_));
    hit(one) != hit(other) && !alone(one) && !alone(other)
}

/// What it hits.
fn hit(fault: &Fault) -> String {
    match fault {
        Fault::Killed(process) | Fault::Frozen(process) => process.clone(),
        Fault::BrokerKilled
        | Fault::MemoryAlarm
        | Fault::QueueDeleted(_)
        | Fault::QueueLost(_)
        | Fault::LeaderKilled(_)
        | Fault::Network(Peer::Broker, _) => Peer::Broker.to_string(),
        Fault::DatabaseKilled | Fault::Network(Peer::Database, _) => Peer::Database.to_string(),
        Fault::Outside(who, _) => who.as_str().to_owned(),
        Fault::ClockJumped(_) => "clocks".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_comes_round_to_everything_and_is_decided_by_its_seed() {
        let draw = |seed| {
            let able = Needs { cluster: false, clocks: true, links: true };
            let mut mix = Mix::new(Random::new(seed), able, 2, Duration::from_secs(10));
            (0..40)
                .flat_map(|_| mix.next().0)
                .map(|(fault, _)| fault.to_string())
                .collect::<Vec<_>>()
        };
        let drawn = draw(5);
        for what in ["RabbitMQ killed", "PostgreSQL killed", "clocks jumped", "frozen", "half-open"]
        {
            assert!(drawn.iter().any(|fault| fault.contains(what)), "{what} never comes");
        }
        assert!(!drawn.iter().any(|fault| fault.contains("leader")));
        assert_eq!(drawn, draw(5));
    }
}
