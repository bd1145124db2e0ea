//! Removes sagas that ended long ago, with their histories: some at a time, each batch in one
//! transaction, so that a saga and its history go together or stay together.
//!
//! Only what has ended is ever looked at, by the index on `ended_at`; an open or parked saga has no
//! such time, however old it is. Any number of instances may do this at once: each leaves out what
//! another one has locked. What has been removed is told by one row of the table `retention`, in the
//! same transaction, so that an audit can tell what was removed from what was lost.

use runtime::shutdown::Shutdown;
use sqlx::PgPool;
use std::time::{Duration, Instant};
use time::OffsetDateTime;

/// In one transaction, at most.
pub const BATCH: i64 = 500;
/// Between two looks when nothing is old enough, at most; a short retention is looked after sooner.
const PAUSE: Duration = Duration::from_secs(60);
/// After a batch it rests for as long as that took: sagas under way come first.
const SHORTEST: Duration = Duration::from_millis(20);

/// Keeps ended sagas for a time.
pub struct Retention {
    pub pool: PgPool,
    /// How long after its end a saga is kept.
    pub age: Duration,
    pub shutdown: Shutdown,
}

impl Retention {
    /// Until shutdown begins.
    pub async fn run(self) {
        while !self.shutdown.is_begun() {
            let began = Instant::now();
            let pause = match store::in_time(remove(&self.pool, self.age, BATCH)).await {
                Ok(0) => PAUSE.min(self.age / 2).max(Duration::from_millis(250)),
                Ok(removed) => {
                    metrics::counter!("sagas_removed_total").increment(removed);
                    began.elapsed().max(SHORTEST)
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot remove old sagas");
                    PAUSE
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.shutdown.begun() => {}
            }
        }
    }
}

/// Removes sagas that ended longer ago than `age` by the database's clock, the oldest first and at
/// most `most`, with their histories. How many; 0 when there are none, or others have them.
pub async fn remove(pool: &PgPool, age: Duration, most: i64) -> sqlx::Result<u64> {
    let mut tx = pool.begin().await?;
    // A late duplicate may hold one of them: it is left for the next time.
    let removed: Vec<OffsetDateTime> = sqlx::query_scalar(
        "WITH old AS MATERIALIZED (
             SELECT id FROM saga WHERE ended_at < now() - make_interval(secs => $1)
              ORDER BY ended_at LIMIT $2 FOR UPDATE SKIP LOCKED),
         lines AS (
             DELETE FROM saga_event WHERE saga_id = ANY(ARRAY(SELECT id FROM old)))
         DELETE FROM saga WHERE id = ANY(ARRAY(SELECT id FROM old)) RETURNING ended_at",
    )
    .bind(age.as_secs_f64())
    .bind(most)
    .fetch_all(&mut *tx)
    .await?;
    let Some(latest) = removed.iter().max() else { return Ok(0) };
    let count = i64::try_from(removed.len()).unwrap_or(i64::MAX);
    sqlx::query(
        "INSERT INTO retention (ended_until, removed) VALUES ($1, $2)
         ON CONFLICT (only_row) DO UPDATE
            SET ended_until = GREATEST(retention.ended_until, excluded.ended_until),
                removed = retention.removed + excluded.removed",
    )
    .bind(latest)
    .bind(count)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    tracing::info!(sagas = count, ended_until = %latest, "old sagas removed");
    Ok(u64::try_from(count).unwrap_or_default())
}
