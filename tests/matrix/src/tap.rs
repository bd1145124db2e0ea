//! A copy of every message that the sagas' exchanges carry.

use crate::routes::Routes;
use anyhow::Result;
use messaging::{
    Amqp, COMMANDS, Consumer, DEAD_LETTERS, Incoming, REPLIES, REPLIES_QUEUE, Topology,
};
use runtime::{health::Health, shutdown::Shutdown};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const DAY: u64 = 24 * 60 * 60;

pub const QUEUE: &str = "matrix.tap";

/// With the time of day at which it came by.
type Seen = HashMap<String, Vec<(Duration, Incoming)>>;

#[derive(Clone)]
pub struct Tap {
    /// By saga.
    seen: Arc<Mutex<Seen>>,
}

impl Tap {
    /// Binds a queue beside those of `participants` and of the orchestrator.
    pub async fn start(amqp: &Amqp, routes: &Routes, participants: &[&str]) -> Result<Self> {
        routes.declare(QUEUE).await?;
        // What many cells at once, or many copies of a command, have sent may come as a pack.
        for key in [REPLIES_QUEUE.to_owned(), format!("{REPLIES_QUEUE}.packed")] {
            routes.bind(REPLIES, QUEUE, &key).await?;
        }
        for owner in participants.iter().chain(&["orchestrator"]) {
            let commands = messaging::command_queue(owner);
            routes.bind(COMMANDS, QUEUE, &format!("{commands}.packed")).await?;
            routes.bind(COMMANDS, QUEUE, &commands).await?;
            routes.bind(DEAD_LETTERS, QUEUE, &messaging::dead_letter_queue(owner)).await?;
        }
        let (part, shutdown) = (Health::new().part("tap"), Shutdown::manual());
        let consumer = Consumer::start(amqp, QUEUE, Topology::orchestrator(), 500, part, &shutdown);
        let tap = Tap { seen: Arc::default() };
        let writing = tap.clone();
        tokio::spawn(async move {
            while let Some(batch) = consumer.next_batch(500).await {
                for delivery in batch {
                    let saga = delivery.incoming.correlation_id().to_owned();
                    let seen = (time_of_day(), delivery.incoming.clone());
                    writing.seen().entry(saga).or_default().push(seen);
                    delivery.ack().await;
                }
            }
        });
        Ok(tap)
    }

    pub fn commands(&self, saga: &str, command: &str) -> Vec<Incoming> {
        self.of(saga, |seen| {
            let retry = seen.key.contains(".retry.");
            seen.exchange == COMMANDS && !retry && seen.kind() == command
        })
    }

    pub fn replies(&self, saga: &str, command: &str) -> Vec<Incoming> {
        self.of(saga, |seen| seen.exchange == REPLIES && seen.kind() == command)
    }

    pub fn dead_letters(&self, saga: &str) -> Vec<Incoming> {
        self.of(saga, |seen| seen.exchange == DEAD_LETTERS)
    }

    /// One line for each message, in the order in which they came by.
    pub fn told(&self, saga: &str) -> Vec<String> {
        let line = |(at, seen): &(Duration, Incoming)| {
            let word = |name: &str| seen.headers.text(name).unwrap_or_default();
            let (id, kind) = (seen.message_id(), seen.kind());
            let said = [word("outcome"), word("dead-reason"), word("dead-error")].join(" ");
            let seconds = at.as_secs();
            let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
            let milli = at.subsec_millis();
            let at = format!("{hour:02}:{minute:02}:{second:02}.{milli:03}Z");
            format!("{at} {:<24} {kind:<26} {id} {said}", seen.key)
        };
        self.seen().get(saga).into_iter().flatten().map(line).collect()
    }

    fn of(&self, saga: &str, wanted: impl Fn(&Incoming) -> bool) -> Vec<Incoming> {
        let seen = self.seen();
        let messages = seen.get(saga).into_iter().flatten().map(|(_, message)| message);
        messages.filter(|message| wanted(message)).cloned().collect()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// UTC.
fn time_of_day() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Duration::new(now.as_secs() % DAY, now.subsec_nanos())
}
