//! The table of scenarios.

use crate::fault::{
    Dependency::{Carrier, Gateway},
    Fault,
    Mood::{Down, Slow},
    Peer::{self, Broker, Database},
    Trouble::{self, Cut, HalfOpen, Lossy},
};
use std::time::Duration;
use testkit::Random;

/// Participants of the order saga.
pub const WORKERS: [&str; 5] = ["order", "inventory", "payment", "shipping", "notification"];
/// Queues that are never empty for long.
const HOT: [&str; 4] =
    ["inventory.commands", "payment.commands", "shipping.commands", "orchestrator.replies"];
/// Queues whose messages are sent once: nobody waits for an answer.
const ONCE: [&str; 3] = ["orchestrator.starts", "analytics.events", "inventory.events"];

pub struct Scenario {
    pub name: &'static str,
    pub hypothesis: &'static str,
    kind: Kind,
    /// How often, each time after everything has recovered.
    pub rounds: usize,
    /// Seconds for which each fault lasts.
    hold: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Worker,
    Orchestrator,
    Freeze,
    BrokerKill,
    DatabaseKill,
    Alarm,
    Queue,
    Lost,
    Net(Peer, Trouble),
    Gateway(bool),
    Carrier,
    Clock,
    Leader,
}

/// What a scenario needs of the ground.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Three nodes.
    pub cluster: bool,
    /// Processes whose clocks can be moved.
    pub clocks: bool,
    /// Links that can be disturbed.
    pub links: bool,
}

macro_rules! scenarios {
    ($($name:literal, $kind:expr, $rounds:literal x $hold:literal s, $hypothesis:literal;)*) => {
        pub const SCENARIOS: &[Scenario] = &[$(Scenario {
            name: $name, hypothesis: $hypothesis, kind: $kind, rounds: $rounds, hold: $hold,
        }),*];
    };
}

scenarios! {
    "worker-kill", Kind::Worker, 4 x 3 s,
        "Another instance goes on with the commands of a killed one, and no effect happens twice.";
    "orchestrator-kill", Kind::Orchestrator, 3 x 3 s,
        "Any orchestrator moves any saga; what one had not acknowledged comes to the other.";
    "broker-kill", Kind::BrokerKill, 2 x 2 s,
        "What RabbitMQ confirmed outlives it; what it did not confirm is sent again.";
    "database-kill", Kind::DatabaseKill, 2 x 3 s,
        "Deliveries wait while PostgreSQL is away; a commit of unknown outcome is found out.";
    "freeze", Kind::Freeze, 1 x 20 s,
        "A process that stands still for 20 s is taken for dead, and does no harm when it goes on.";
    "memory-alarm", Kind::Alarm, 1 x 10 s,
        "Blocked publishers wait; nothing that they hold is acknowledged before.";
    "queue-deleted", Kind::Queue, 4 x 1 s,
        "A queue comes back by itself; what was in it is sent, or asked for, again.";
    "queue-lost", Kind::Lost, 3 x 2 s,
        "Starts are sent again and events asked for again that were lost with a queue that nobody consumed.";
    "broker-cut", Kind::Net(Broker, Cut), 1 x 6 s,
        "A connection lost at any byte loses no message and doubles no effect.";
    "broker-half-open", Kind::Net(Broker, HalfOpen), 1 x 15 s,
        "A broker that neither answers nor hangs up is noticed, and left.";
    "broker-lossy", Kind::Net(Broker, Lossy), 1 x 15 s,
        "A bad line to RabbitMQ costs time and nothing else.";
    "database-cut", Kind::Net(Database, Cut), 1 x 6 s,
        "A commit whose answer is lost is neither taken for done nor for undone.";
    "database-half-open", Kind::Net(Database, HalfOpen), 1 x 15 s,
        "A database that neither answers nor hangs up is noticed, and its locks are let go.";
    "database-lossy", Kind::Net(Database, Lossy), 1 x 15 s,
        "A bad line to PostgreSQL costs time and nothing else.";
    "gateway-down", Kind::Gateway(false), 1 x 8 s,
        "Payment stops taking commands while the gateway is away; no attempt is wasted on it.";
    "gateway-slow", Kind::Gateway(true), 1 x 10 s,
        "A slow gateway is waited for within limits; a payment that may have happened is settled.";
    "carrier-down", Kind::Carrier, 1 x 8 s,
        "Shipping stops taking commands while the carrier is away; payments are not lost meanwhile.";
    "clock-jump", Kind::Clock, 2 x 8 s,
        "Sagas neither time out in masses nor stall when the clocks of one orchestrator and one worker are two hours off.";
    "leader-kill", Kind::Leader, 3 x 4 s,
        "A cluster of three goes on without the node that led a busy queue, and takes it back.";
}

impl Scenario {
    pub fn find(name: &str) -> Option<&'static Scenario> {
        SCENARIOS.iter().find(|scenario| scenario.name == name)
    }

    pub fn needs(&self) -> Needs {
        Needs {
            cluster: self.kind == Kind::Leader,
            clocks: self.kind == Kind::Clock,
            links: matches!(self.kind, Kind::Net(..)),
        }
    }

    pub fn hold(&self) -> Duration {
        Duration::from_secs(self.hold)
    }

    /// One of the faults that this scenario is about; `round` counts from 0.
    pub fn fault(&self, random: &mut Random, round: usize, instances: u16) -> Fault {
        match self.kind {
            Kind::Worker => Fault::Killed(instance(random, &WORKERS, instances)),
            Kind::Orchestrator => Fault::Killed(instance(random, &["orchestrator"], instances)),
            Kind::Freeze => {
                let any = [&["orchestrator"], WORKERS.as_slice()].concat();
                Fault::Frozen(instance(random, &any, instances))
            }
            Kind::BrokerKill => Fault::BrokerKilled,
            Kind::DatabaseKill => Fault::DatabaseKilled,
            Kind::Alarm => Fault::MemoryAlarm,
            Kind::Queue => {
                let any = [HOT.as_slice(), &ONCE].concat();
                Fault::QueueDeleted(any[random.below(any.len())])
            }
            Kind::Lost => Fault::QueueLost(ONCE[round % ONCE.len()]),
            Kind::Net(peer, trouble) => Fault::Network(peer, trouble),
            Kind::Gateway(slow) => Fault::Outside(Gateway, if slow { Slow } else { Down }),
            Kind::Carrier => Fault::Outside(Carrier, Down),
            Kind::Clock => Fault::ClockJumped(if round.is_multiple_of(2) { 2 } else { -2 }),
            Kind::Leader => Fault::LeaderKilled(HOT[random.below(HOT.len())]),
        }
    }
}

fn instance(random: &mut Random, services: &[&str], instances: u16) -> String {
    let service = services[random.below(services.len())];
    match random.below(usize::from(instances)) {
        0 => service.to_owned(),
        number => format!("{service}-{}", number + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_scenario_has_a_name_of_its_own_and_says_what_must_be_true() {
        let names: BTreeSet<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        assert_eq!(names.len(), SCENARIOS.len());
        assert!(SCENARIOS.iter().all(|scenario| scenario.hypothesis.ends_with('.')));
    }

    #[test]
    fn a_seed_decides_every_fault() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            let all = SCENARIOS.iter().map(|scenario| scenario.fault(&mut random, 0, 2));
            all.map(|fault| fault.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }
}
