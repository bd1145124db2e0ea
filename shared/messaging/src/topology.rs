use crate::{
    COMMANDS, DEAD_LETTERS, EVENTS, REPLIES, REPLIES_QUEUE, STARTS_QUEUE, Tier, command_queue,
    dead_letter_queue, event_queue, retry_queue,
};
use lapin::{
    ExchangeKind,
    types::{AMQPValue, FieldTable},
};

/// Deliveries of one message before the broker gives up on it. Generous, because a connection
/// that drops counts against every message it had been handed.
const DELIVERY_LIMIT: i32 = 1000;
/// For dead letters there is nowhere further to go: as good as never, in a number that every
/// version of the broker takes (without one, version 4 drops them after 20 deliveries).
const NEVER: i32 = i32::MAX;

pub(crate) const EXCHANGES: [(&str, ExchangeKind); 4] = [
    (COMMANDS, ExchangeKind::Direct),
    (REPLIES, ExchangeKind::Direct),
    (EVENTS, ExchangeKind::Topic),
    (DEAD_LETTERS, ExchangeKind::Direct),
];

/// The queues that one process owns. All are quorum queues that refuse what they cannot keep.
#[derive(Clone, Debug, PartialEq)]
pub struct Topology {
    owner: String,
    pub(crate) queues: Vec<Queue>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Queue {
    pub(crate) name: String,
    pub(crate) exchange: &'static str,
    /// Binding keys.
    pub(crate) keys: Vec<String>,
    after: After,
}

/// Where a message goes when this queue gives it up.
#[derive(Clone, Debug, PartialEq)]
enum After {
    /// Rejected, or delivered too often: to its owner's dead letters.
    DeadLetters {
        owner: String,
    },
    /// Waited `millis`: back to this command queue.
    Back {
        millis: i32,
        to: String,
    },
    Nowhere,
}

impl Topology {
    /// Commands, their retries, and dead letters of one participant.
    pub fn participant(name: &str) -> Topology {
        let commands = command_queue(name);
        let retries = Tier::ALL.map(|tier| {
            let millis = i32::try_from(tier.delay().as_millis()).unwrap_or(i32::MAX);
            let after = After::Back { millis, to: commands.clone() };
            Queue::named(retry_queue(name, tier), COMMANDS, after)
        });
        let topology = Topology::dead_letters(name);
        let work = topology.work(commands.clone(), COMMANDS);
        topology.and(work).and_all(retries)
    }

    /// Starts, replies and dead letters of the orchestrator.
    pub fn orchestrator() -> Topology {
        let topology = Topology::dead_letters("orchestrator");
        let starts = topology.work(STARTS_QUEUE.to_owned(), COMMANDS);
        let replies = topology.work(REPLIES_QUEUE.to_owned(), REPLIES);
        topology.and(starts).and(replies)
    }

    /// Events and dead letters of a process that only listens. `types` as for [`Topology::events`].
    pub fn subscriber(name: &str, types: &[&str]) -> Topology {
        Topology::dead_letters(name).events(types)
    }

    /// Also `<owner>.events`, bound to these types; patterns such as `order.*` are allowed.
    #[must_use]
    pub fn events(self, types: &[&str]) -> Topology {
        let mut queue = self.work(event_queue(&self.owner), EVENTS);
        queue.keys = types.iter().map(|&kind| kind.to_owned()).collect();
        self.and(queue)
    }

    /// The dead letters of `owner` alone, for whoever collects them.
    pub fn dead_letters(owner: &str) -> Topology {
        let queue = Queue::named(dead_letter_queue(owner), DEAD_LETTERS, After::Nowhere);
        Topology { owner: owner.to_owned(), queues: vec![queue] }
    }

    fn work(&self, name: String, exchange: &'static str) -> Queue {
        Queue::named(name, exchange, After::DeadLetters { owner: self.owner.clone() })
    }

    fn and(mut self, queue: Queue) -> Topology {
        self.queues.push(queue);
        self
    }

    fn and_all(mut self, queues: impl IntoIterator<Item = Queue>) -> Topology {
        self.queues.extend(queues);
        self
    }
}

impl Queue {
    /// Bound to its own name.
    fn named(name: String, exchange: &'static str, after: After) -> Queue {
        Queue { keys: vec![name.clone()], name, exchange, after }
    }

    /// Never change what an existing name declares: the broker refuses, and every service with it.
    pub(crate) fn arguments(&self) -> FieldTable {
        let text = |value: &str| AMQPValue::LongString(value.into());
        let mut table = FieldTable::default();
        let mut set = |name: &str, value| {
            table.insert(name.into(), value);
        };
        set("x-queue-type", text("quorum"));
        set("x-overflow", text("reject-publish"));
        let limit = if self.after == After::Nowhere { NEVER } else { DELIVERY_LIMIT };
        set("x-delivery-limit", AMQPValue::LongInt(limit));
        let (exchange, key) = match &self.after {
            After::Nowhere => return table,
            After::DeadLetters { owner } => (DEAD_LETTERS, dead_letter_queue(owner)),
            After::Back { millis, to } => {
                set("x-message-ttl", AMQPValue::LongInt(*millis));
                (COMMANDS, to.clone())
            }
        };
        set("x-dead-letter-exchange", text(exchange));
        set("x-dead-letter-routing-key", text(&key));
        set("x-dead-letter-strategy", text("at-least-once"));
        table
    }
}
