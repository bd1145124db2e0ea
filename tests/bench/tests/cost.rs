//! What one saga costs, when it has the system to itself: messages, SQL statements, commits and
//! write-ahead log. That is the same in every run, so it must not grow unnoticed. On purpose it
//! may: then change the numbers below, and say why in the commit.
//!
//! Needs what `scripts/with-instances` starts, and the binaries of the workspace.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use anyhow::{Context, Result, ensure};
use bench::{
    four_steps::FourSteps,
    load::{Load, Offer},
    orders::Orders,
    process::{Instances, pool},
};
use sqlx::{PgPool, Row};
use std::time::Duration;

/// Enough that statements made for no saga in particular, a few each second, are told apart from
/// those that are made for each: there are fewer of them than sagas.
const SAGAS: usize = 150;
/// For driving so many, one after the other.
const LIMIT: Duration = Duration::from_secs(120);
/// A cost may be so much more than it was.
const GROWTH: f64 = 1.1;

#[derive(Debug)]
struct Cost {
    messages: f64,
    statements: f64,
    commits: f64,
    /// Bytes, without those of the commits themselves.
    log: f64,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saga_costs_no_more_messages_statements_commits_and_log_than_it_did() -> Result<()> {
    let instances = Instances::from_env()?;
    let steps = FourSteps::start(&instances).await?;
    let found = cost(&instances, &steps.load, r"bench\_steps\_%").await?;
    steps.verify().await?;
    drop(steps);
    let known = Cost { messages: 9.0, statements: 45.0, commits: 9.0, log: 12_400.0 };
    compare("a saga of four steps", &found, &known)?;

    let orders = Orders::start(&instances).await?;
    let found = cost(&instances, &orders.load, r"bench\_orders\_%").await?;
    orders.verify().await?;
    let known = Cost { messages: 17.0, statements: 129.0, commits: 23.0, log: 20_000.0 };
    compare("an order", &found, &known)
}

fn compare(what: &str, found: &Cost, known: &Cost) -> Result<()> {
    eprintln!("{what}: {found:.1?}");
    for (kind, found, known) in [
        ("messages", found.messages, known.messages),
        ("statements", found.statements, known.statements),
        ("commits", found.commits, known.commits),
        ("bytes of log", found.log, known.log),
    ] {
        ensure!(found <= known * GROWTH, "{what} costs {found:.1} {kind}, it was {known:.1}");
        ensure!(found >= known / 2.0, "{what} costs {found:.1} {kind}: half of {known:.1}?");
    }
    Ok(())
}

async fn cost<O: Offer>(instances: &Instances, load: &Load<O>, databases: &str) -> Result<Cost> {
    load.one_by_one(50, LIMIT).await?;
    let admin = pool(&instances.database)?;
    sqlx::query("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        .execute(&admin)
        .await
        .context("PostgreSQL counts no statements here")?;
    sqlx::query("SELECT pg_stat_statements_reset()").execute(&admin).await?;
    let measured = load.one_by_one(SAGAS, LIMIT).await?;
    ensure!(measured.sagas == SAGAS, "only {} sagas in {LIMIT:?}", measured.sagas);
    let (statements, commits, log) = statements(&admin, databases).await?;
    Ok(Cost { messages: measured.cost.messages, statements, commits, log })
}

/// Per saga: statements, commits, and bytes of log.
async fn statements(admin: &PgPool, databases: &str) -> Result<(f64, f64, f64)> {
    // Looking whether a saga has ended is this test's own doing.
    let row = sqlx::query(
        "SELECT sum(calls)::float8 AS statements,
                sum(calls) FILTER (WHERE query = 'COMMIT')::float8 AS commits,
                sum(wal_bytes)::float8 AS log
           FROM pg_stat_statements AS statement
           JOIN pg_database AS database ON database.oid = statement.dbid
          WHERE datname LIKE $1 AND query NOT LIKE 'SELECT EXISTS (SELECT FROM saga%'
            AND calls >= $2",
    )
    .bind(databases)
    .bind(i64::try_from(SAGAS)?)
    .fetch_one(admin)
    .await?;
    let sagas = SAGAS as f64;
    let of = |column: &str| row.try_get::<Option<f64>, _>(column);
    let each = |count: Option<f64>| count.unwrap_or_default() / sagas;
    Ok((each(of("statements")?), each(of("commits")?), each(of("log")?)))
}
