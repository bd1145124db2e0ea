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
};

pub const QUEUE: &str = "matrix.tap";

type Seen = HashMap<String, Vec<Incoming>>;

#[derive(Clone)]
pub struct Tap {
    /// By saga.
    seen: Arc<Mutex<Seen>>,
}

impl Tap {
    /// Binds a queue beside those of `participants` and of the orchestrator.
    pub async fn start(amqp: &Amqp, routes: &Routes, participants: &[&str]) -> Result<Self> {
        routes.declare(QUEUE).await?;
        routes.bind(REPLIES, QUEUE, REPLIES_QUEUE).await?;
        for owner in participants.iter().chain(&["orchestrator"]) {
            routes.bind(COMMANDS, QUEUE, &messaging::command_queue(owner)).await?;
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
                    writing.seen().entry(saga).or_default().push(delivery.incoming.clone());
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
        let line = |seen: &Incoming| {
            let word = |name: &str| seen.headers.text(name).unwrap_or_default();
            let (id, kind) = (seen.message_id(), seen.kind());
            let said = [word("outcome"), word("dead-reason"), word("dead-error")].join(" ");
            format!("{:<30} {kind:<26} {id} {said}", seen.key)
        };
        self.of(saga, |_| true).iter().map(line).collect()
    }

    fn of(&self, saga: &str, wanted: impl Fn(&Incoming) -> bool) -> Vec<Incoming> {
        let seen = self.seen();
        seen.get(saga).into_iter().flatten().filter(|seen| wanted(seen)).cloned().collect()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
