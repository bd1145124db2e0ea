//! A journal that neither answers nor hangs up.

use anyhow::{Context, Result};
use messaging::{Amqp, Consumer, Topology};
use orchestrator::{MIGRATOR, admission::Admission};
use runtime::{config::Redacted, health::Health, shutdown::Shutdown};
use sqlx::postgres::PgPoolOptions;
use testkit::{PATIENCE, Proxy, ScratchDb, Weather, eventually};
use tokio::time::timeout;

#[tokio::test]
async fn starts_go_on_once_the_journal_answers_again_whatever_was_asked_meanwhile() -> Result<()> {
    let database = ScratchDb::of("orchestrator", &MIGRATOR).await?;
    let (proxy, url) = Proxy::before(database.url()).await?;
    let pool = PgPoolOptions::new().max_connections(2).connect_lazy(&url)?;
    let health = Health::new();
    let shutdown = Shutdown::manual();
    let admission = Admission::new(pool, 100, health.part("database"), shutdown.clone());
    // Nobody is there; it is only not asked.
    let amqp = Amqp::new(Redacted::new("amqp://nobody@127.0.0.1:1"), "test")?;
    let part = Health::new().part("queue");
    let starts = Consumer::start(&amqp, "none", Topology::orchestrator(), 1, part, &shutdown);

    admission.room(100, &starts).await.context("stopping")?;
    proxy.set_weather(Weather::HalfOpen);
    let watching = tokio::spawn(admission.clone().watch());
    eventually(PATIENCE, "a count to be given up", async || {
        anyhow::ensure!(!health.is_ready(), "the database is still taken to be there");
        Ok(())
    })
    .await?;
    proxy.set_weather(Weather::Clear);
    drop(admission.take(100));
    timeout(PATIENCE, admission.room(100, &starts)).await?.context("stopping")?;
    shutdown.begin();
    Ok(timeout(PATIENCE, watching).await??)
}
