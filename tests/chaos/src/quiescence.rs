//! Waiting until nothing moves any more: what is not over then has been forgotten or is stuck.

use crate::ground::Ground;
use anyhow::{Result, ensure};
use serde_json::Value;
use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};
use uuid::Uuid;

/// How long it took. Fails with what still moves when `limit` is over.
pub async fn wait(ground: &Ground, limit: Duration) -> Result<Duration> {
    let began = Instant::now();
    testkit::eventually(limit, "everything to come to rest", async || at_rest(ground).await)
        .await?;
    Ok(began.elapsed())
}

async fn at_rest(ground: &Ground) -> Result<()> {
    let count = async |service, what: &str, sql: &'static str| {
        let found: i64 = sqlx::query_scalar(sql).fetch_one(ground.pool(service)?).await?;
        ensure!(found == 0, "{found} {what}");
        Ok(())
    };
    let outbox = "SELECT count(*) FROM outbox";
    count("order", "messages are in the order service's outbox", outbox).await?;
    let open = "SELECT count(*) FROM saga WHERE ended_at IS NULL AND parked IS NULL";
    count("orchestrator", "sagas are open", open).await?;
    let pending = "SELECT count(*) FROM orders WHERE status = 'pending'
                   AND created_at > now() - interval '5 minutes'";
    // A parked saga's order is pending for good.
    let parked = "SELECT count(*) FROM saga WHERE parked IS NOT NULL AND ended_at IS NULL";
    let parked: i64 = sqlx::query_scalar(parked).fetch_one(ground.pool("orchestrator")?).await?;
    if parked == 0 {
        count("order", "orders are pending", pending).await?;
    }
    Ok(())
}

/// The stories of some sagas that have not ended.
pub async fn open(ground: &Ground) -> Result<String> {
    let journal = ground.pool("orchestrator")?;
    let sagas: Vec<(Uuid, String, Value, Option<String>)> = sqlx::query_as(
        "SELECT id, state, steps, wake_at::text FROM saga WHERE ended_at IS NULL
         ORDER BY created_at LIMIT 5",
    )
    .fetch_all(journal)
    .await?;
    let mut text = String::new();
    for (id, state, steps, wake) in sagas {
        let wake = wake.unwrap_or_else(|| "never".to_owned());
        let _ = writeln!(text, "saga {id} is {state}, wakes {wake}: {steps}");
        let history: Vec<String> = sqlx::query_scalar(
            "SELECT concat_ws(' ', at, event, step, leg, outcome) FROM saga_event
             WHERE saga_id = $1 ORDER BY seq",
        )
        .bind(id)
        .fetch_all(journal)
        .await?;
        for line in history {
            let _ = writeln!(text, "    {line}");
        }
    }
    Ok(text)
}
