//! Dead letters: what participants, and the orchestrator itself, have given up on. They are taken
//! out of their queues into the table `dead_letter` ([`collector`]), grouped by what they died of
//! ([`fingerprint`]), and replayed or discarded by operators ([`verbs`]).
//!
//! A replay is the same message under the same id, so that a participant that has had it answers
//! from its inbox. It is refused when nobody waits for it any more ([`judgement`]). It is decided in
//! the row first, then sent ([`sending`]), then watched until its effect is seen or it dies again;
//! a replay of many goes up a ladder ([`ramp`]). Each of these is a change of a row in one state to
//! the next, whoever makes it, so several orchestrators do no more than one, and one that starts
//! goes on where another was killed.

mod collector;
pub mod fingerprint;
pub mod judgement;
pub mod letter;
pub mod listing;
mod ramp;
mod sending;
pub mod shelf;
pub mod verbs;

use crate::engine::Engine;
use collector::Collector;
use messaging::{Amqp, Publisher};
use runtime::{config, health::Health, shutdown::Shutdown};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep},
};
use uuid::Uuid;

/// Between two looks at replays.
const PAUSE: Duration = Duration::from_millis(500);
/// For one look, which may have to send what many replays wait for.
const LOOK: Duration = Duration::from_secs(60);
/// Between two counts of what is open.
const COUNT: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub struct Settings {
    /// `DEAD_LETTER_OWNERS`: processes whose dead letters are collected besides those of the
    /// definitions' participants and of the orchestrator, separated by commas.
    pub owners: Vec<String>,
    /// `DEAD_LETTER_PATIENCE` (60 s): how long a replay may go without an answer.
    pub patience: Duration,
}

impl Settings {
    pub fn from_env() -> Result<Self, config::Error> {
        let owners = config::env("DEAD_LETTER_OWNERS", Some(String::new()))?;
        let owners = owners.split(',').map(str::trim).filter(|owner| !owner.is_empty());
        Ok(Settings {
            owners: owners.map(str::to_owned).collect(),
            patience: config::seconds("DEAD_LETTER_PATIENCE", Some(Duration::from_secs(60)))?,
        })
    }
}

/// Where dead letters are kept and dealt with. Cheap to clone.
#[derive(Clone)]
pub struct Office {
    pub engine: Engine,
    pub publisher: Publisher,
    pub shutdown: Shutdown,
    patience: Duration,
    owners: Vec<String>,
    /// As which it claims replays.
    me: Uuid,
    /// There is something new to do.
    nudge: Arc<Notify>,
}

impl Office {
    pub fn new(
        settings: &Settings,
        engine: Engine,
        publisher: Publisher,
        shutdown: Shutdown,
    ) -> Self {
        let known = engine.catalogue.iter().flat_map(|definition| {
            let legs = definition.plan().steps().flat_map(|(_, step)| {
                [Some(step.action.participant()), step.compensation.map(|leg| leg.participant())]
            });
            legs.flatten().map(str::to_owned).collect::<Vec<_>>()
        });
        let owners: BTreeSet<String> = known
            .chain(settings.owners.iter().cloned())
            .chain(["orchestrator".to_owned()])
            .collect();
        Office {
            patience: settings.patience,
            owners: owners.into_iter().collect(),
            me: Uuid::new_v4(),
            nudge: Arc::default(),
            engine,
            publisher,
            shutdown,
        }
    }

    /// Collects and replays until shutdown begins.
    pub async fn run(self, amqp: Amqp) {
        // Of its own: a participant whose queues are not there yet is no reason not to be ready.
        let health = Health::new();
        let mut parts = JoinSet::new();
        for owner in &self.owners {
            let collector = Collector {
                owner: owner.clone(),
                pool: self.engine.pool.clone(),
                amqp: amqp.clone(),
                part: health.part(owner.as_str()),
                shutdown: self.shutdown.clone(),
            };
            parts.spawn(collector.run());
        }
        parts.spawn(self.replay());
        while parts.join_next().await.is_some() {}
    }

    async fn replay(self) {
        let mut counted: Option<Instant> = None;
        while !self.shutdown.is_begun() {
            if let Err(error) = store::within(LOOK, self.look()).await {
                tracing::warn!(%error, "cannot see to replays");
            }
            if counted.is_none_or(|at| at.elapsed() > COUNT) {
                counted = Some(Instant::now());
                self.count().await;
            }
            tokio::select! {
                () = sleep(PAUSE) => {}
                () = self.nudge.notified() => {}
                () = self.shutdown.begun() => {}
            }
        }
    }

    async fn look(&self) -> sqlx::Result<()> {
        self.send_what_is_left().await?;
        self.settle().await?;
        self.climb().await
    }

    /// Every orchestrator tells the same.
    async fn count(&self) {
        match store::in_time(listing::open(&self.engine.pool)).await {
            Ok(open) => {
                for owner in &self.owners {
                    let count = open.get(owner).copied().unwrap_or_default();
                    metrics::gauge!("dead_letters_open", "participant" => owner.clone())
                        .set(count as f64);
                }
            }
            Err(error) => tracing::debug!(%error, "open dead letters are not counted"),
        }
    }

    fn has_work(&self) {
        self.nudge.notify_one();
    }
}
