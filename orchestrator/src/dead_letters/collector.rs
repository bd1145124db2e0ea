//! Out of the queues of dead letters and into the table: a batch is stored, and only then
//! acknowledged.

use super::{letter::Letter, shelf};
use messaging::{Amqp, Consumer, DeadReason, Delivery, Topology, dead_letter_queue, spans};
use runtime::{failpoint, health::Part, resilience::Backoff, shutdown::Shutdown};
use sqlx::PgPool;
use std::{str::FromStr, time::Duration};

/// Letters in one transaction. They may be a megabyte each.
const BATCH: usize = 50;
const PREFETCH: u16 = 100;

/// Collects the dead letters of one participant.
pub(super) struct Collector {
    pub(super) owner: String,
    pub(super) pool: PgPool,
    pub(super) amqp: Amqp,
    pub(super) part: Part,
    pub(super) shutdown: Shutdown,
}

impl Collector {
    /// Until shutdown begins. A queue that is not there yet is waited for.
    pub(super) async fn run(self) {
        let queue = dead_letter_queue(&self.owner);
        let topology = Topology::dead_letters(&self.owner);
        let part = self.part.clone();
        let consumer = Consumer::start(&self.amqp, queue, topology, PREFETCH, part, &self.shutdown);
        // What the database will not have stays with the broker, without being handed out anew.
        let mut stuck = Vec::new();
        while let Some(batch) = consumer.next_batch(BATCH).await {
            let letters: Vec<_> = batch.iter().map(|it| self.read(it)).collect();
            match self.store(&letters).await {
                Stored::All => {
                    self.tell(&letters);
                    for delivery in &batch {
                        drop(spans::process(&delivery.incoming, None));
                    }
                    failpoint::hit("orchestrator.letters-stored").await;
                    Delivery::ack_all(batch).await;
                }
                Stored::NotAll => stuck.extend(self.one_by_one(batch, letters).await),
                Stored::Stopped => break,
            }
        }
        for delivery in stuck {
            delivery.hand_back().await;
        }
        consumer.close().await;
    }

    fn read(&self, delivery: &Delivery) -> Letter {
        Letter::of(&self.owner, &delivery.incoming)
    }

    /// However long the database is away.
    async fn store(&self, letters: &[Letter]) -> Stored {
        let mut delays = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        loop {
            match store::in_time(shelf::store(&self.pool, letters)).await {
                Ok(new) => {
                    tracing::debug!(owner = self.owner, letters = letters.len(), new, "collected");
                    return Stored::All;
                }
                Err(error) if store::is_infrastructure(&error) || store::is_retriable(&error) => {
                    tracing::warn!(%error, owner = self.owner, "dead letters wait for the database");
                }
                Err(error) => {
                    tracing::error!(%error, owner = self.owner, "dead letters cannot be stored");
                    return Stored::NotAll;
                }
            }
            tokio::select! {
                () = delays.wait() => {}
                () = self.shutdown.begun() => return Stored::Stopped,
            }
        }
    }

    /// One letter that the database refuses must not hold up the others. Answers what is left.
    async fn one_by_one(&self, batch: Vec<Delivery>, letters: Vec<Letter>) -> Vec<Delivery> {
        let mut left = Vec::new();
        for (delivery, letter) in batch.into_iter().zip(letters) {
            let letter = [letter];
            match self.store(&letter).await {
                Stored::All => {
                    self.tell(&letter);
                    delivery.ack().await;
                }
                Stored::NotAll | Stored::Stopped => left.push(delivery),
            }
        }
        left
    }

    fn tell(&self, letters: &[Letter]) {
        for letter in letters {
            metrics::counter!("dead_letters_collected_total", "participant" => self.owner.clone(),
                "reason" => label(&letter.reason))
            .increment(1);
        }
    }
}

enum Stored {
    All,
    /// At least one of them never can be.
    NotAll,
    Stopped,
}

/// A reason is whatever a message says; a label is one of few words.
fn label(reason: &str) -> &'static str {
    const OF_THE_BROKER: [&str; 3] = ["delivery_limit", "rejected", "maxlen"];
    match DeadReason::from_str(reason) {
        Ok(known) => known.as_str(),
        Err(_) => OF_THE_BROKER.into_iter().find(|word| *word == reason).unwrap_or("other"),
    }
}
