//! The names an operator sees in the management UI.

use std::time::Duration;

/// Direct exchange: commands by queue name, starts, and retries on their way in and out.
pub const COMMANDS: &str = "saga.commands";
/// Direct exchange: answers to the orchestrator.
pub const REPLIES: &str = "saga.replies";
/// Topic exchange: events by type.
pub const EVENTS: &str = "saga.events";
/// Direct exchange: what no retry will help, by dead-letter queue name.
pub const DEAD_LETTERS: &str = "saga.dead-letters";

pub const STARTS_QUEUE: &str = "orchestrator.starts";
pub const REPLIES_QUEUE: &str = "orchestrator.replies";

/// The AMQP `type` of a request to begin a saga.
pub const START: &str = "saga.start";

pub fn command_queue(participant: &str) -> String {
    format!("{participant}.commands")
}

pub fn event_queue(subscriber: &str) -> String {
    format!("{subscriber}.events")
}

pub fn dead_letter_queue(owner: &str) -> String {
    format!("{owner}.dead-letters")
}

pub fn retry_queue(participant: &str, tier: Tier) -> String {
    format!("{participant}.retry.{}", tier.name())
}

/// The key under which a queue that reads packs takes them; `None` for what is never packed. Starts
/// are not: they wait until there is room, so that their queue shall say how many they are.
pub(crate) fn packs_of(exchange: &str, key: &str) -> Option<String> {
    let packs = match exchange {
        COMMANDS => key.ends_with(".commands"),
        REPLIES => key == REPLIES_QUEUE,
        _ => false,
    };
    packs.then(|| format!("{key}.packed"))
}

/// How long a retried command waits. One queue per wait, since a message's own time to live only
/// counts at the head of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    OneSecond,
    FiveSeconds,
    ThirtySeconds,
}

impl Tier {
    pub const ALL: [Tier; 3] = [Tier::OneSecond, Tier::FiveSeconds, Tier::ThirtySeconds];

    /// The tier for a command that was retried `retries` times before.
    pub fn after(retries: u32) -> Tier {
        match retries {
            0 => Tier::OneSecond,
            1 => Tier::FiveSeconds,
            _ => Tier::ThirtySeconds,
        }
    }

    pub fn delay(self) -> Duration {
        match self {
            Tier::OneSecond => Duration::from_secs(1),
            Tier::FiveSeconds => Duration::from_secs(5),
            Tier::ThirtySeconds => Duration::from_secs(30),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Tier::OneSecond => "1s",
            Tier::FiveSeconds => "5s",
            Tier::ThirtySeconds => "30s",
        }
    }
}
