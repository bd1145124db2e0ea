//! Load on a journal: one saga after the other, so many a second, or so many in flight.

use crate::meter::{Cost, Meter};
use anyhow::{Result, ensure};
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
const PATIENCE: Duration = Duration::from_secs(30);

/// Begins sagas.
pub trait Offer: Send + Sync + 'static {
    /// So many, as fast as they are taken; each with the time at which it was offered.
    fn offer(&self, count: usize)
    -> impl Future<Output = Result<Vec<(Uuid, OffsetDateTime)>>> + Send;
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
    pub meter: Meter,
}

impl<O: Offer> Load<O> {
    /// One in flight.
    pub async fn one_by_one(&self, sagas: usize, limit: Duration) -> Result<Measured> {
        let begun = self.meter.begin().await?;
        let start = Instant::now();
        let mut offered = HashMap::new();
        while offered.len() < sagas && start.elapsed() < limit {
            let begin = self.offer.offer(1).await?;
            let open = Instant::now();
            while self.open().await? > 0 || !self.exists(begin[0].0).await? {
                ensure!(open.elapsed() < PATIENCE, "saga {} does not end", begin[0].0);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            offered.extend(begin);
        }
        self.measured(begun, offered).await
    }

    /// Offered at a steady rate, whatever comes of it.
    pub async fn steady(&self, per_second: usize, seconds: usize) -> Result<Measured> {
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
        self.until_ended().await?;
        self.measured(begun, offered).await
    }

    /// A number in flight, topped up whenever some have ended.
    pub async fn saturated(&self, sagas: usize, window: usize, limit: Duration) -> Result<Measured> {
        let begun = self.meter.begin().await?;
        let start = Instant::now();
        let mut offered = HashMap::new();
        while offered.len() < sagas && start.elapsed() < limit {
            // What was offered and not started counts as in flight, too.
            let ended = self.ended(&offered).await?;
            let room = (window + ended).saturating_sub(offered.len()).min(sagas - offered.len());
            if room > 0 {
                offered.extend(self.offer.offer(room).await?);
            } else {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        self.until_ended().await?;
        self.measured(begun, offered).await
    }

    /// Sagas that the journal knows, less the open ones, since the stretch began.
    async fn ended(&self, offered: &HashMap<Uuid, OffsetDateTime>) -> Result<usize> {
        self.meter.own_commit();
        let open: i64 = sqlx::query_scalar("SELECT count(*) FROM saga WHERE ended_at IS NULL")
            .fetch_one(&self.journal)
            .await?;
        let waiting = 0;
        Ok(offered.len().saturating_sub(usize::try_from(open)? + waiting))
    }

    async fn open(&self) -> Result<i64> {
        self.meter.own_commit();
        Ok(sqlx::query_scalar("SELECT count(*) FROM saga WHERE ended_at IS NULL")
            .fetch_one(&self.journal)
            .await?)
    }

    async fn exists(&self, id: Uuid) -> Result<bool> {
        self.meter.own_commit();
        Ok(sqlx::query_scalar("SELECT EXISTS (SELECT FROM saga WHERE id = $1)")
            .bind(id)
            .fetch_one(&self.journal)
            .await?)
    }
}
