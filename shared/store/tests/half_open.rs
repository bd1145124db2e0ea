//! A database that neither answers nor hangs up.

use anyhow::{Result, ensure};
use runtime::config::Redacted;
use std::time::Duration;
use testkit::{PATIENCE, Proxy, ScratchDb, Weather, eventually};
use tokio::time::timeout;

const IMPATIENT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn connections_that_went_dead_in_use_give_their_places_back() -> Result<()> {
    let db = ScratchDb::empty().await?;
    let (proxy, url) = Proxy::before(db.url()).await?;
    let pool = store::pool(&Redacted::new(url), "test")?;
    let mut connections = Vec::new();
    for _ in 0..pool.options().get_max_connections() {
        connections.push(pool.begin().await?);
    }
    proxy.set_weather(Weather::HalfOpen);
    for mut transaction in connections {
        // The caller has a limit of its own, and gives up.
        let asked = timeout(IMPATIENT, sqlx::query("SELECT 1").execute(&mut *transaction)).await;
        ensure!(asked.is_err(), "half-open, and yet it answers");
    }
    proxy.set_weather(Weather::Clear);
    eventually(PATIENCE, "the pool to have room again", async || {
        let answer: i32 = sqlx::query_scalar("SELECT 1").fetch_one(&pool).await?;
        ensure!(answer == 1);
        Ok(())
    })
    .await
}
