//! The real orchestrator and four participants on the real SDK, a process each.

use crate::{
    load::{Load, Offer},
    meter::Meter,
    process::{Instances, Process, environment, free_port, migrate, pool},
    saga::{DEFINITION, Goods, PARTICIPANTS, UNDONE},
};
use anyhow::{Context, Result, ensure};
use contracts::{SagaId, StartEnvelope};
use messaging::{Amqp, Outgoing, Publisher};
use reqwest::Url;
use runtime::{config::Redacted, health::Health, shutdown::Shutdown};
use sqlx::PgPool;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use time::OffsetDateTime;
use uuid::Uuid;

pub struct FourSteps {
    pub load: Load<Starts>,
    /// Ended sagas that were put into the journal by hand.
    pub past: i64,
    databases: Vec<(&'static str, PgPool)>,
    /// Killed when this is dropped.
    processes: Vec<Process>,
}

/// Publishes starts.
pub struct Starts {
    publisher: Publisher,
    offered: AtomicUsize,
    /// Every how many-th saga goes back; 0 for none.
    pub failing: AtomicUsize,
}

impl Offer for Starts {
    async fn offer(&self, count: usize) -> Result<Vec<(Uuid, OffsetDateTime)>> {
        let failing = self.failing.load(Ordering::Relaxed);
        let now = OffsetDateTime::now_utc();
        let mut begun = Vec::with_capacity(count);
        let mut messages = Vec::with_capacity(count);
        for _ in 0..count {
            let number = self.offered.fetch_add(1, Ordering::Relaxed);
            let fails = failing > 0 && number.is_multiple_of(failing);
            let id = Uuid::now_v7();
            // As the ids of orders: one after the other, so that neighbours share pages.
            begun.push((id, now));
            messages.push(Outgoing::start(&StartEnvelope {
                saga: SagaId(id),
                definition: DEFINITION.to_owned(),
                traceparent: None,
                body: serde_json::to_vec(&Goods::new(fails))?,
            }));
        }
        let unroutable = self.publisher.send(&messages).await?;
        ensure!(unroutable.is_empty(), "the orchestrator has no queue");
        Ok(begun)
    }
}

impl FourSteps {
    pub async fn start(instances: &Instances) -> Result<Self> {
        Self::named(instances, "steps", &[]).await
    }

    /// With databases and a virtual host of this name (of letters and underscores), and variables
    /// that every process sees.
    pub async fn named(
        instances: &Instances,
        stack: &str,
        variables: &[(&str, &str)],
    ) -> Result<Self> {
        let amqp = instances.vhost(&format!("bench-{stack}")).await?;
        let journal = instances.database(&format!("bench_{stack}_orchestrator")).await?;
        migrate("bench-orchestrator", &[], &journal).await?;
        let environment = |database: &Url| {
            let mut env = environment(&amqp, Some(database));
            env.extend(variables.iter().map(|(name, value)| ((*name).into(), (*value).into())));
            env
        };
        let env = environment(&journal);
        let (orchestrator, port) = ("bench-orchestrator", free_port()?);
        let mut processes =
            vec![Process::start(instances, "orchestrator", orchestrator, &[], port, &env)?];
        let mut databases = Vec::new();
        for name in PARTICIPANTS {
            let database = instances.database(&format!("bench_{stack}_{name}")).await?;
            migrate("bench-participant", &[name], &database).await?;
            let (words, env) = (["serve", name], environment(&database));
            let binary = "bench-participant";
            processes.push(Process::start(instances, name, binary, &words, free_port()?, &env)?);
            databases.push((name, pool(&database)?));
        }
        for process in &processes {
            process.ready().await?;
        }
        let driver = Amqp::new(Redacted::new(amqp.as_str()), "bench")?;
        let part = Health::new().part("publisher");
        let starts = Starts {
            publisher: Publisher::start(&driver, part, &Shutdown::manual()),
            offered: AtomicUsize::new(1),
            failing: AtomicUsize::new(0),
        };
        let workers: Vec<&Process> = processes[1..].iter().collect();
        let journal = pool(&journal)?;
        let participants = databases.iter().map(|(_, database)| database.clone());
        let load = Load {
            offer: Arc::new(starts),
            databases: participants.chain([journal.clone()]).collect(),
            journal,
            meter: Meter::new(instances, &[&processes[0]], &workers)?,
            metrics: processes[0].url("/metrics"),
            client: runtime::http_client::client()?,
        };
        Ok(FourSteps { load, past: 0, databases, processes })
    }

    pub fn process(&self, name: &str) -> Result<&Process> {
        let found = self.processes.iter().find(|process| process.name == name);
        found.with_context(|| format!("there is no {name} here"))
    }

    /// Every saga has ended, and the participants' books say the same as the journal.
    pub async fn verify(&self) -> Result<()> {
        let (completed, compensated, all): (i64, i64, i64) = sqlx::query_as(
            "SELECT count(*) FILTER (WHERE state = 'completed'),
                    count(*) FILTER (WHERE state = 'compensated'), count(*) FROM saga",
        )
        .fetch_one(&self.load.journal)
        .await?;
        let (completed, all) = (completed - self.past, all - self.past);
        ensure!(completed + compensated == all, "{all} sagas, not all of them have ended");
        let offered = self.load.offer.offered.load(Ordering::Relaxed) - 1;
        ensure!(usize::try_from(all)? == offered, "{offered} sagas offered, {all} are there");
        for (name, database) in &self.databases {
            let (done, undone): (i64, i64) = sqlx::query_as(
                "SELECT count(*) FILTER (WHERE NOT undone), count(*) FILTER (WHERE undone)
                   FROM effect",
            )
            .fetch_one(database)
            .await?;
            let expected = if UNDONE.contains(name) { compensated } else { 0 };
            ensure!(
                (done, undone) == (completed, expected),
                "{name} did {done} and undid {undone} of {completed} completed and {compensated} \
                 compensated sagas"
            );
        }
        Ok(())
    }
}
