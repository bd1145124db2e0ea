//! Removing old sagas, on a real journal.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use anyhow::{Result, ensure};
use orchestrator::{
    MIGRATOR,
    retention::{Retention, remove},
};
use runtime::shutdown::Shutdown;
use sqlx::{PgPool, Row, postgres::PgPoolOptions};
use std::time::Duration;
use testkit::{PATIENCE, ScratchDb, eventually};
use uuid::Uuid;

const DAY: Duration = Duration::from_secs(86_400);

/// How a saga stands that is put into the journal by hand.
#[derive(Clone, Copy, Debug)]
enum Saga {
    /// So many hours ago.
    Ended(i32),
    Open,
    Parked,
}

/// Begun so many hours ago, with three lines of history each; all are of one age and one kind.
async fn put(pool: &PgPool, saga: Saga, began: i32, count: i32) -> Result<Vec<Uuid>> {
    let (state, parked, ended) = match saga {
        Saga::Ended(ago) => ("completed", None, Some(ago)),
        Saga::Open => ("running", None, None),
        Saga::Parked => ("running", Some("capture-payment"), None),
    };
    let ids = sqlx::query_scalar(
        "WITH new AS (
             INSERT INTO saga (id, definition, version, state, steps, parked, data, revision,
                               wake_at, look_at, created_at, updated_at, ended_at)
             SELECT gen_random_uuid(), 'place-order', 1, $1, '{}', $2, '{}', 3, wake, wake,
                    now() - make_interval(hours => $3), now(), now() - make_interval(hours => $4)
               FROM generate_series(1, $5),
                    (SELECT CASE WHEN $4 IS NULL AND $2 IS NULL THEN now() END AS wake) AS due
             RETURNING id),
         lines AS (
             INSERT INTO saga_event (saga_id, seq, at, event)
             SELECT id, seq, now(), CASE seq WHEN 1 THEN 'started' ELSE 'woke' END
               FROM new, generate_series(1, 3) AS seq)
         SELECT id FROM new",
    )
    .bind(state)
    .bind(parked)
    .bind(began)
    .bind(ended)
    .bind(count)
    .fetch_all(pool)
    .await?;
    Ok(ids)
}

/// Sagas, lines of history, and how many sagas are told to have been removed.
async fn there(pool: &PgPool) -> Result<(i64, i64, i64)> {
    let row = sqlx::query(
        "SELECT (SELECT count(*) FROM saga) AS sagas, (SELECT count(*) FROM saga_event) AS lines,
                coalesce((SELECT removed FROM retention), 0) AS removed",
    )
    .fetch_one(pool)
    .await?;
    Ok((row.try_get("sagas")?, row.try_get("lines")?, row.try_get("removed")?))
}

#[tokio::test]
async fn exactly_what_ended_long_enough_ago_is_removed_a_batch_at_a_time() -> Result<()> {
    let database = ScratchDb::of("orchestrator", &MIGRATOR).await?;
    let pool = database.pool();
    let old = put(pool, Saga::Ended(25), 26, 25).await?;
    // Begun as long ago, and not ended, or not long ago.
    let mut kept = put(pool, Saga::Open, 1_000, 5).await?;
    kept.extend(put(pool, Saga::Parked, 1_000, 5).await?);
    kept.extend(put(pool, Saga::Ended(23), 1_000, 5).await?);
    kept.extend(put(pool, Saga::Ended(1), 2, 5).await?);

    let mut batches = Vec::new();
    loop {
        match remove(pool, DAY, 10).await? {
            0 => break,
            removed => batches.push(removed),
        }
    }
    assert_eq!(batches, [10, 10, 5]);
    assert_eq!(there(pool).await?, (20, 60, 25));
    let mut left: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM saga").fetch_all(pool).await?;
    left.sort_unstable();
    kept.sort_unstable();
    assert_eq!(left, kept);
    let lines = "SELECT count(*) FROM saga_event WHERE saga_id = ANY($1)";
    let of_old: i64 = sqlx::query_scalar(lines).bind(&old).fetch_one(pool).await?;
    assert_eq!(of_old, 0);
    let until = "SELECT ended_until < now() - interval '24 hours'
                    AND ended_until > now() - interval '26 hours' FROM retention";
    assert!(sqlx::query_scalar::<_, bool>(until).fetch_one(pool).await?);
    Ok(())
}

#[tokio::test]
async fn two_at_once_remove_each_saga_once_and_leave_out_what_somebody_holds() -> Result<()> {
    let database = ScratchDb::of("orchestrator", &MIGRATOR).await?;
    let pool = database.pool();
    let old = put(pool, Saga::Ended(25), 26, 1_001).await?;
    // As a late duplicate of a reply does.
    let mut late = pool.begin().await?;
    sqlx::query("SELECT 1 FROM saga WHERE id = $1 FOR UPDATE")
        .bind(old[500])
        .execute(&mut *late)
        .await?;
    let both = [Shutdown::manual(), Shutdown::manual()];
    let running: Vec<_> = both
        .iter()
        .map(|shutdown| {
            let (pool, shutdown) = (pool.clone(), shutdown.clone());
            tokio::spawn(Retention { pool, age: DAY, shutdown }.run())
        })
        .collect();
    eventually(PATIENCE, "all but the locked one to be removed", async || {
        let now = there(pool).await?;
        ensure!(now == (1, 3, 1_000), "{now:?}");
        Ok(())
    })
    .await?;
    late.rollback().await?;
    assert_eq!(remove(pool, DAY, 10).await?, 1);
    for (shutdown, run) in both.iter().zip(running) {
        shutdown.begin();
        run.await?;
    }
    assert_eq!(there(pool).await?, (0, 0, 1_001));
    Ok(())
}

#[tokio::test]
async fn whoever_dies_in_the_middle_has_removed_nothing() -> Result<()> {
    let database = ScratchDb::of("orchestrator", &MIGRATOR).await?;
    let pool = database.pool();
    put(pool, Saga::Ended(25), 26, 20).await?;
    remove(pool, DAY, 10).await?;
    // Sagas and histories are deleted by then; their sum cannot be written.
    let mut holding = pool.begin().await?;
    sqlx::query("SELECT 1 FROM retention FOR UPDATE").execute(&mut *holding).await?;
    let own = PgPoolOptions::new().max_connections(1).connect(database.url()).await?;
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&own).await?;
    let dying = tokio::spawn(async move { remove(&own, DAY, 10).await });
    eventually(PATIENCE, "it to wait for the sum", async || {
        let waits = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $1";
        let waits: Option<bool> = sqlx::query_scalar(waits).bind(pid).fetch_one(pool).await?;
        ensure!(waits == Some(true), "it does not wait");
        Ok(())
    })
    .await?;
    sqlx::query("SELECT pg_terminate_backend($1)").bind(pid).execute(pool).await?;
    dying.await?.unwrap_err();
    holding.rollback().await?;
    assert_eq!(there(pool).await?, (10, 30, 10));
    assert_eq!(remove(pool, DAY, 100).await?, 10);
    Ok(())
}
