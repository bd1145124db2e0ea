//! What the orchestrator does all the time must cost the same after years: nothing of it may read
//! the sagas of the past. Told by PostgreSQL's own counters, so it is the statements themselves that
//! are watched, with the plans that they really get.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use anyhow::{Result, ensure};
use contracts::{Outcome, ReplyEnvelope, SagaId, StartEnvelope};
use messaging::{Amqp, Consumer, Topology};
use orchestrator::{
    MIGRATOR,
    admission::Admission,
    engine::{Engine, Occurrence},
    journal, retention,
};
use runtime::{config::Redacted, health::Health, shutdown::Shutdown};
use serde_json::json;
use sqlx::{PgPool, Row, postgres::PgPoolOptions};
use std::{sync::Arc, time::Duration};
use testkit::{PATIENCE, ScratchDb, eventually};
use uuid::Uuid;

const PAST: i64 = 50_000;
/// Rounds of every statement: more than the five after which a plan may become a general one.
const ROUNDS: usize = 12;

/// Ended sagas with their histories, as many as make a scan worthwhile to nobody.
async fn fill(pool: &PgPool) -> Result<()> {
    for sql in [
        "INSERT INTO saga (id, definition, version, state, steps, data, revision, created_at,
                           updated_at, ended_at)
         SELECT gen_random_uuid(), 'place-order', 1, 'completed', '{}', '{}', 8, at, at, at
           FROM (SELECT now() - number * interval '1 s' AS at
                   FROM generate_series(1, 50000) AS number) AS past",
        "INSERT INTO saga_event (saga_id, seq, at, event)
         SELECT id, seq, ended_at, CASE seq WHEN 1 THEN 'started' ELSE 'woke' END
           FROM saga, generate_series(1, 8) AS seq",
        "ANALYZE saga",
        "ANALYZE saga_event",
    ] {
        sqlx::query(sql).execute(pool).await?;
    }
    Ok(())
}

/// Rows of the two tables that were read by scans of the whole table, and by all indexes.
async fn reads(watching: &PgPool) -> Result<(i64, i64)> {
    let row = sqlx::query(
        "SELECT (SELECT sum(seq_tup_read) FROM pg_stat_user_tables
                  WHERE relname IN ('saga', 'saga_event'))::bigint AS scanned,
                (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes
                  WHERE relname IN ('saga', 'saga_event'))::bigint AS by_index",
    )
    .fetch_one(watching)
    .await?;
    Ok((row.try_get("scanned")?, row.try_get("by_index")?))
}

/// A connection tells what it has read when it ends, at the latest.
async fn settled(watching: &PgPool, pool: PgPool) -> Result<(i64, i64)> {
    pool.close().await;
    eventually(PATIENCE, "every other connection to be gone", async || {
        let others = "SELECT coalesce(string_agg(usename || ': ' || query, '; '), '')
                        FROM pg_stat_activity
                       WHERE datname = current_database() AND pid <> pg_backend_pid()
                         AND backend_type = 'client backend'";
        let others: String = sqlx::query_scalar(others).fetch_one(watching).await?;
        ensure!(others.is_empty(), "{others}");
        Ok(())
    })
    .await?;
    reads(watching).await
}

fn connect(database: &ScratchDb) -> Result<PgPool> {
    Ok(PgPoolOptions::new().max_connections(1).connect_lazy(database.url())?)
}

#[tokio::test]
async fn nothing_that_is_done_all_the_time_reads_the_past() -> Result<()> {
    let database = ScratchDb::of("orchestrator", &MIGRATOR).await?;
    let watching = connect(&database)?;
    let own = PgPoolOptions::new().max_connections(1).connect(database.owner_url()).await?;
    fill(&own).await?;
    let before = settled(&watching, own).await?;
    ensure!(before.0 >= PAST, "the counters count: {before:?}");

    let pool = connect(&database)?;
    let engine = Engine { pool: pool.clone(), catalogue: Arc::new(sagas::catalogue(None, None)) };
    let definitions = ["place-order/1".to_owned()];
    for _ in 0..ROUNDS {
        drive_one(&engine).await?;
        journal::due(&pool, &definitions, 200).await?;
        assert_eq!(retention::remove(&pool, Duration::from_secs(86_400), 500).await?, 0);
    }
    let counting =
        Admission::new(pool.clone(), 100, Health::new().part("database"), Shutdown::manual());
    // Nobody is there; it is only not asked.
    let amqp = Amqp::new(Redacted::new("amqp://nobody@127.0.0.1:1"), "test")?;
    let (part, shutdown) = (Health::new().part("queue"), Shutdown::manual());
    let starts = Consumer::start(&amqp, "none", Topology::orchestrator(), 1, part, &shutdown);
    for _ in 0..ROUNDS {
        assert!(counting.room(100, &starts).await.unwrap() > 0);
        drop(counting.take(100));
    }
    shutdown.begin();
    let after = settled(&watching, pool).await?;

    assert_eq!(after.0, before.0, "rows read by scans of whole tables");
    let by_index = after.1 - before.1;
    assert!(by_index < PAST / 10, "{by_index} rows read by indexes, of {PAST} past ones");
    Ok(())
}

/// A start, its second coming, and a reply.
async fn drive_one(engine: &Engine) -> Result<()> {
    let start = Occurrence::Start(StartEnvelope {
        saga: SagaId(Uuid::new_v4()),
        definition: "place-order".into(),
        traceparent: None,
        body: json!({
            "customer_id": "cust_1",
            "lines": [{ "product_id": "prod_001", "quantity": 1 }],
            "total": { "amount": 1290, "currency": "EUR" },
            "payment_method": "card_ok",
            "ship_to": { "country": "DE" },
        })
        .to_string()
        .into_bytes(),
    });
    let begun = engine.advance(std::slice::from_ref(&start)).await?;
    engine.advance(&[start]).await?;
    let reply = ReplyEnvelope::to(&begun.commands[0], Outcome::Done, b"null".to_vec());
    engine.advance(&[Occurrence::Reply(reply)]).await?;
    Ok(())
}
