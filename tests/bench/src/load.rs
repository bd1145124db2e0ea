//! Load on a journal: one saga after the other, so many a second, or so many in flight.

use crate::meter::{Cost, Meter, Reading};
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use sqlx::{PgPool, Row};
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use time::OffsetDateTime;
use tokio::task::JoinSet;
use uuid::Uuid;

/// For the last saga to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often to look how many sagas have ended.
const LOOK: Duration = Duration::from_millis(20);

/// Begins sagas.
pub trait Offer: Send + Sync + 'static {
    /// So many, as fast as they are taken; each with the time at which it was offered.
    fn offer(
        &self,
        count: usize,
    ) -> impl Future<Output = Result<Vec<(Uuid, OffsetDateTime)>>> + Send;
}

#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    pub sagas: usize,
    /// Sagas ended in a second.
    pub rate: f64,
    /// Milliseconds from a saga's offer to the time that the journal ends it at.
    pub p50: f64,
    pub p99: f64,
    pub cost: Cost,
}

pub struct Load<O> {
    pub offer: Arc<O>,
    pub journal: PgPool,
    /// Every database that is measured, the journal too.
    pub databases: Vec<PgPool>,
    pub meter: Meter,
    /// The orchestrator's.
    pub metrics: String,
    pub client: reqwest::Client,
}

impl<O: Offer> Load<O> {
    /// What autovacuum does within a minute; a run that short would not see it.
    pub async fn analyse(&self) -> Result<()> {
        for database in &self.databases {
            sqlx::query("ANALYZE").execute(database).await?;
            self.meter.own_commit();
        }
        Ok(())
    }

    /// One in flight.
    pub async fn one_by_one(&self, sagas: usize, limit: Duration) -> Result<Measured> {
        let begun = self.meter.begin().await?;
        let start = Instant::now();
        let mut offered = HashMap::new();
        while offered.len() < sagas && start.elapsed() < limit {
            let begin = self.offer.offer(1).await?;
            let open = Instant::now();
            while !self.has_ended(begin[0].0).await? {
                ensure!(open.elapsed() < PATIENCE, "saga {} does not end", begin[0].0);
                // Seldom: every look costs the database as much as a statement of the saga.
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            offered.extend(begin);
        }
        self.measured(begun, offered).await
    }

    /// Offered at a steady rate, whatever comes of it.
    pub async fn steady(&self, per_second: usize, seconds: usize) -> Result<Measured> {
        let before = self.ended().await?;
        let begun = self.meter.begin().await?;
        let total = per_second * seconds;
        let (start, clock) = (Instant::now(), OffsetDateTime::now_utc());
        let mut tasks = JoinSet::new();
        let mut sent = 0;
        while sent < total {
            let due = (start.elapsed().as_secs_f64() * per_second as f64) as usize + 1;
            let count = due.min(total) - sent;
            if count > 0 {
                let first = sent;
                let offer = Arc::clone(&self.offer);
                tasks.spawn(async move { (first, offer.offer(count).await) });
                sent += count;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let mut offered = HashMap::new();
        while let Some(done) = tasks.join_next().await {
            let (first, begun) = done?;
            // By the plan and not by when it was sent: a late sender hides no waiting.
            offered.extend(begun?.into_iter().zip(first..).map(|((id, _), place)| {
                (id, clock + Duration::from_secs_f64(place as f64 / per_second as f64))
            }));
        }
        self.until_ended(before + total).await?;
        self.measured(begun, offered).await
    }

    /// A number in flight, topped up whenever some have ended.
    pub async fn saturated(
        &self,
        sagas: usize,
        window: usize,
        limit: Duration,
    ) -> Result<Measured> {
        let before = self.ended().await?;
        let begun = self.meter.begin().await?;
        let start = Instant::now();
        let mut offered = HashMap::new();
        while offered.len() < sagas && start.elapsed() < limit {
            let ended = self.ended().await? - before;
            let room = (window + ended).saturating_sub(offered.len()).min(sagas - offered.len());
            offered.extend(self.offer.offer(room).await?);
            tokio::time::sleep(LOOK).await;
        }
        self.until_ended(before + offered.len()).await?;
        self.measured(begun, offered).await
    }

    /// Sagas that the orchestrator has ended since it began.
    pub async fn ended(&self) -> Result<usize> {
        let text = self.client.get(&self.metrics).send().await?.text().await?;
        let counts = text
            .lines()
            .filter(|line| line.starts_with("sagas_ended_total{"))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok());
        Ok(counts.sum())
    }

    pub async fn until_ended(&self, total: usize) -> Result<()> {
        let begun = Instant::now();
        loop {
            let ended = self.ended().await?;
            if ended >= total {
                return Ok(());
            }
            ensure!(begun.elapsed() < PATIENCE, "{ended} of {total} sagas have ended");
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn has_ended(&self, id: Uuid) -> Result<bool> {
        self.meter.own_commit();
        let ended = "SELECT EXISTS (SELECT FROM saga WHERE id = $1 AND ended_at IS NOT NULL)";
        Ok(sqlx::query_scalar(ended).bind(id).fetch_one(&self.journal).await?)
    }

    /// What was offered since `begun`, all of which has ended.
    pub async fn measured(
        &self,
        begun: Reading,
        offered: HashMap<Uuid, OffsetDateTime>,
    ) -> Result<Measured> {
        let cost = self.meter.end(begun, offered.len()).await?;
        let ids: Vec<Uuid> = offered.keys().copied().collect();
        self.meter.own_commit();
        let rows = sqlx::query("SELECT id, ended_at FROM saga WHERE id = ANY($1)")
            .bind(&ids)
            .fetch_all(&self.journal)
            .await?;
        let mut waits = Vec::with_capacity(rows.len());
        for row in rows {
            let (id, ended): (Uuid, Option<OffsetDateTime>) =
                (row.try_get("id")?, row.try_get("ended_at")?);
            let ended = ended.with_context(|| format!("saga {id} has not ended"))?;
            waits.push((ended - offered[&id]).as_seconds_f64() * 1000.0);
        }
        ensure!(waits.len() == ids.len(), "{} of {} sagas exist", waits.len(), ids.len());
        let (p50, p99) = (part(&mut waits, 0.5), part(&mut waits, 0.99));
        let (sagas, rate) = (waits.len(), waits.len() as f64 / cost.seconds);
        Ok(Measured { sagas, rate, p50, p99, cost })
    }
}

/// The value that so large a part of them does not exceed; 0 of none.
pub fn part(values: &mut [f64], part: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let place = (values.len().saturating_sub(1) as f64 * part) as usize;
    values.get(place).copied().unwrap_or_default()
}
