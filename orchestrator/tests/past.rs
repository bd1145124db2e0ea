//! What the orchestrator does all the time must cost the same after years: nothing of it may read
//! the sagas of the past. Told by PostgreSQL's own counters, so it is the statements themselves that
//! are watched, with the plans that they really get.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use anyhow::{Context, Result, ensure};
use contracts::{Outcome, ReplyEnvelope, SagaId, StartEnvelope};
use messaging::{Amqp, Consumer, Publisher, Topology};
use orchestrator::{
    MIGRATOR,
    admission::Admission,
    api::{self, Desk, participants::Participants},
    dead_letters::{Office, Settings},
    engine::{Engine, Occurrence},
    journal, retention,
    sending::Sender,
};
use runtime::{config::Redacted, health::Health, http, shutdown::Shutdown};
use saga_core::Patience;
use serde_json::json;
use sqlx::{PgPool, Row, postgres::PgPoolOptions};
use std::{net::Ipv4Addr, sync::Arc, time::Duration};
use testkit::{PATIENCE, ScratchDb, eventually};
use tokio::time::timeout;
use uuid::Uuid;

const PAST: i64 = 50_000;
/// Rounds of every statement: more than the five after which a plan may become a general one.
const ROUNDS: usize = 12;

/// Ended sagas with their histories, as many as make a scan worthwhile to nobody; the latest of
/// them `age` old.
async fn fill(pool: &PgPool, age: &str) -> Result<()> {
    sqlx::query(
        "INSERT INTO saga (id, definition, version, state, steps, data, revision, created_at,
                           updated_at, ended_at)
         SELECT gen_random_uuid(), 'place-order', 1, 'completed', '{}', '{}', 8, at, at, at
           FROM (SELECT now() - $1::text::interval - number * interval '1 s' AS at
                   FROM generate_series(1, 50000) AS number) AS past",
    )
    .bind(age)
    .execute(pool)
    .await?;
    for sql in [
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
    fill(&own, "0 s").await?;
    let before = settled(&watching, own).await?;
    ensure!(before.0 >= PAST, "the counters count: {before:?}");

    let pool = connect(&database)?;
    let engine = Engine::over(pool.clone(), Arc::new(sagas::catalogue(Patience::default())));
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

/// What its pages ask while they are open.
const ASKED: [&str; 6] = [
    "/dead-letters/groups",
    "/sagas?limit=12",
    "/sagas?limit=50",
    "/sagas?open=true",
    "/sagas?parked=true",
    "/participants",
];

#[tokio::test]
async fn nothing_that_an_open_console_asks_reads_the_past() -> Result<()> {
    let database = ScratchDb::of("orchestrator", &MIGRATOR).await?;
    let watching = connect(&database)?;
    let own = PgPoolOptions::new().max_connections(1).connect(database.owner_url()).await?;
    fill(&own, "2 days").await?;
    let before = settled(&watching, own).await?;

    let pool = PgPoolOptions::new().max_connections(2).connect_lazy(database.url())?;
    let engine = Engine::over(pool.clone(), Arc::new(sagas::catalogue(Patience::default())));
    let (health, shutdown) = (Health::new(), Shutdown::manual());
    // Nobody is there: participants are told of without their queues.
    let amqp = Amqp::new(Redacted::new("amqp://nobody@127.0.0.1:1"), "test")?;
    let publisher = Publisher::start(&amqp, health.part("publisher"), &shutdown);
    let sender = Sender { publisher: publisher.clone(), shutdown: shutdown.clone() };
    let settings = Settings { owners: Vec::new(), patience: PATIENCE };
    let office = Office::new(&settings, engine.clone(), publisher, shutdown.clone());
    let desk = Desk::new(engine.clone(), sender, Participants::new(amqp, "")?);
    let listener = http::listen(Ipv4Addr::LOCALHOST.into(), 0).await?;
    let url = format!("http://{}/api/v1", listener.local_addr()?);
    let limits = http::Limits { drain: Duration::from_secs(1), ..http::Limits::default() };
    let router = api::router(desk, office);
    let serving = http::serve_on(listener, router, health, shutdown.clone(), limits);
    let server = tokio::spawn(serving);
    let client = runtime::http_client::client()?;
    let ask = async |path: &str| {
        let asked = client.get(format!("{url}{path}")).timeout(PATIENCE).send().await?;
        anyhow::Ok(asked.error_for_status()?)
    };
    let mut events = ask("/events").await?;
    for _ in 0..ROUNDS {
        let saga = drive_one(&engine).await?;
        for path in ASKED {
            ask(path).await?.bytes().await?;
        }
        for path in [format!("/sagas/{saga}"), format!("/sagas/{saga}/explain")] {
            ask(&path).await?.bytes().await?;
        }
        // Each time another look at what moves.
        let told = async {
            let mut said = String::new();
            while !said.contains(&saga.to_string()) {
                let more = events.chunk().await?.context("the stream has ended")?;
                said += std::str::from_utf8(&more)?;
            }
            anyhow::Ok(())
        };
        timeout(PATIENCE, told).await??;
        // Kept for a second, so that a look each second is all there ever is.
        ask("/sagas/counts").await?.bytes().await?;
    }
    shutdown.begin();
    drop(events);
    timeout(PATIENCE, server).await??;
    engine.lanes.close().await;
    let after = settled(&watching, pool).await?;

    assert_eq!(after.0, before.0, "rows read by scans of whole tables");
    let by_index = after.1 - before.1;
    assert!(by_index < PAST / 10, "{by_index} rows read by indexes, of {PAST} past ones");
    Ok(())
}

/// A start, its second coming, and a reply.
async fn drive_one(engine: &Engine) -> Result<SagaId> {
    let saga = SagaId(Uuid::new_v4());
    let start = Occurrence::Start(StartEnvelope {
        saga,
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
    Ok(saga)
}
