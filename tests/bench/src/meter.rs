//! What a stretch of work costs: processor time by part, messages, commits, write-ahead log.

use crate::{
    process::{Instances, Process, pool},
    usage,
};
use anyhow::{Context, Result};
use serde::Serialize;
use sqlx::{PgPool, Row};
use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, Instant},
};

/// PostgreSQL's counters reach its statistics at most a second late.
const SETTLE: Duration = Duration::from_millis(1_200);

pub struct Meter {
    broker: u32,
    database: u32,
    orchestrator: Vec<u32>,
    workers: Vec<u32>,
    admin: PgPool,
    prometheus: reqwest::Url,
    client: reqwest::Client,
    /// Commits that the benchmark itself has made.
    own_commits: AtomicI64,
}

/// CPU seconds so far.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Cpu {
    pub broker: f64,
    pub database: f64,
    pub orchestrator: f64,
    pub workers: f64,
}

impl Cpu {
    pub fn total(self) -> f64 {
        self.broker + self.database + self.orchestrator + self.workers
    }

    fn each(self, other: Cpu, with: impl Fn(f64, f64) -> f64) -> Cpu {
        Cpu {
            broker: with(self.broker, other.broker),
            database: with(self.database, other.database),
            orchestrator: with(self.orchestrator, other.orchestrator),
            workers: with(self.workers, other.workers),
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Reading {
    at: Instant,
    cpu: Cpu,
    messages: f64,
    wal: i64,
    commits: i64,
}

/// Per saga, but the time.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Cost {
    pub seconds: f64,
    /// Milliseconds for each saga, which is CPU-seconds per 1,000 sagas.
    pub cpu: Cpu,
    pub messages: f64,
    pub wal_bytes: f64,
    pub commits: f64,
}

impl Meter {
    /// Without workers the benchmark's own process stands for them: it does their work.
    pub fn new(
        instances: &Instances,
        orchestrator: &[&Process],
        workers: &[&Process],
    ) -> Result<Self> {
        let pids = |of: &[&Process]| of.iter().map(|process| process.pid()).collect::<Vec<_>>();
        let mut workers = pids(workers);
        if workers.is_empty() {
            workers.push(std::process::id());
        }
        Ok(Meter {
            broker: usage::recorded(&instances.folder.join("rabbitmq/node.pid"))?,
            database: usage::recorded(&instances.folder.join("postgres.pid"))?,
            orchestrator: pids(orchestrator),
            workers,
            admin: pool(&instances.database)?,
            prometheus: instances.prometheus.clone(),
            client: runtime::http_client::client()?,
            own_commits: AtomicI64::new(0),
        })
    }

    /// A statement of the benchmark on one of the databases that are measured.
    pub fn own_commit(&self) {
        self.own_commits.fetch_add(1, Ordering::Relaxed);
    }

    pub fn cpu(&self) -> Cpu {
        let sum = |pids: &[u32]| pids.iter().map(|pid| usage::cpu_seconds(*pid)).sum();
        Cpu {
            broker: usage::cpu_seconds(self.broker),
            database: usage::cpu_seconds(self.database),
            orchestrator: sum(&self.orchestrator),
            workers: sum(&self.workers),
        }
    }

    pub async fn begin(&self) -> Result<Reading> {
        let (messages, (wal, commits)) = (self.messages().await?, self.database_counters().await?);
        Ok(Reading { at: Instant::now(), cpu: self.cpu(), messages, wal, commits })
    }

    /// The end of a stretch in which so many sagas were driven from begin to end.
    pub async fn end(&self, begun: Reading, sagas: usize) -> Result<Cost> {
        let seconds = begun.at.elapsed().as_secs_f64();
        let cpu = self.cpu();
        tokio::time::sleep(SETTLE).await;
        let (messages, (wal, commits)) = (self.messages().await?, self.database_counters().await?);
        let sagas = sagas.max(1) as f64;
        Ok(Cost {
            seconds,
            cpu: cpu.each(begun.cpu, |now, then| (now - then) * 1000.0 / sagas),
            messages: (messages - begun.messages) / sagas,
            wal_bytes: (wal - begun.wal) as f64 / sagas,
            commits: (commits - begun.commits) as f64 / sagas,
        })
    }

    /// Broker, orchestrator, and the largest worker, in MiB.
    pub fn peaks(&self) -> [f64; 3] {
        let most = |pids: &[u32]| pids.iter().map(|pid| usage::peak_mib(*pid)).fold(0.0, f64::max);
        [most(&[self.broker]), most(&self.orchestrator), most(&self.workers)]
    }

    /// What the orchestrator holds now, in MiB.
    pub fn resident(&self) -> f64 {
        self.orchestrator.iter().map(|pid| usage::resident_mib(*pid)).fold(0.0, f64::max)
    }

    async fn messages(&self) -> Result<f64> {
        let text = self.client.get(self.prometheus.clone()).send().await?.text().await?;
        let counts = text
            .lines()
            .filter(|line| line.starts_with("rabbitmq_global_messages_received_total{"))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        Ok(counts.sum())
    }

    async fn database_counters(&self) -> Result<(i64, i64)> {
        let row = sqlx::query(
            "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint AS wal,
                    (SELECT sum(xact_commit) FROM pg_stat_database
                      WHERE datname LIKE 'bench\\_%')::bigint AS commits",
        )
        .fetch_one(&self.admin)
        .await
        .context("cannot read PostgreSQL's counters")?;
        let commits: Option<i64> = row.try_get("commits")?;
        let own = self.own_commits.load(Ordering::Relaxed);
        Ok((row.try_get("wal")?, commits.unwrap_or_default() - own))
    }
}
