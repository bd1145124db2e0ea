//! Sagas as they move.

use crate::instance::Instance;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::PATIENCE;

/// Reads events until one fits.
async fn until(answer: &mut reqwest::Response, fits: impl Fn(&Value) -> bool) -> Result<Value> {
    let mut text = String::new();
    tokio::time::timeout(PATIENCE, async {
        while let Some(chunk) = answer.chunk().await? {
            text.push_str(&String::from_utf8_lossy(&chunk));
            // What is not a whole line yet stays.
            let whole = text.rfind('\n').map_or(0, |end| end + 1);
            let rest = text.split_off(whole);
            for line in text.lines().filter_map(|line| line.strip_prefix("data: ")) {
                let data = serde_json::from_str::<Value>(line)?;
                if fits(&data) {
                    return Ok(data);
                }
            }
            text = rest;
        }
        anyhow::bail!("the stream has ended: {text}")
    })
    .await
    .context("no such event came")?
}

#[tokio::test]
async fn whoever_listens_is_told_of_every_saga_that_moves_whoever_moved_it() -> Result<()> {
    let instance = Instance::start().await?;
    let mut all = instance.client.get(format!("{}/api/v1/events", instance.url)).send().await?;
    ensure!(all.status() == 200, "{}", all.status());
    // By the engine itself, as another orchestrator would.
    let open = instance.begin("cust_1").await?;
    let is_it = |item: &Value| item["saga_id"] == json!(open.saga);
    until(&mut all, is_it).await?;
    instance.done(&open).await?;
    until(&mut all, |item| is_it(item) && item["step"] == "reserve-stock").await?;
    // Who comes later is told of what is open, too.
    let mut late = instance.client.get(format!("{}/api/v1/events", instance.url)).send().await?;
    until(&mut late, |item| is_it(item) && item["step"] == "reserve-stock").await?;
    drop((all, late));
    instance.stop().await
}

#[tokio::test]
async fn the_oldest_of_very_many_open_sagas_is_told_of_when_it_moves() -> Result<()> {
    let instance = Instance::start().await?;
    let open = instance.begin("cust_1").await?;
    let mut all = instance.client.get(format!("{}/api/v1/events", instance.url)).send().await?;
    sqlx::query(
        "INSERT INTO saga (id, definition, version, state, steps, data, revision, wake_at, look_at,
                           created_at, updated_at)
         SELECT gen_random_uuid(), definition, version, state, steps, data, revision,
                now() + interval '1 d', now() + interval '1 d', now(), now()
           FROM saga, generate_series(1, 3000)",
    )
    .execute(&instance.engine.pool)
    .await?;
    until(&mut all, |item| item["saga_id"] != json!(open.saga)).await?;
    instance.done(&open).await?;
    until(&mut all, |item| item["saga_id"] == json!(open.saga) && item["step"] == "reserve-stock")
        .await?;
    drop(all);
    instance.stop().await
}

#[tokio::test]
async fn a_sagas_stream_begins_with_the_saga_and_ends_with_it() -> Result<()> {
    let instance = Instance::start().await?;
    let open = instance.begin("cust_1").await?;
    let url = format!("{}/api/v1/sagas/{}/events", instance.url, open.saga);
    let mut one = instance.client.get(url).send().await?;
    until(&mut one, |saga| saga["state"] == "running").await?;
    instance.verb(open.saga, "cancel", json!({})).await?;
    until(&mut one, |saga| saga["state"] == "compensating").await?;
    instance.silence(open.saga).await?;
    instance.verb(open.saga, "skip", json!({})).await?;
    until(&mut one, |saga| saga["state"] == "compensated").await?;
    let rest = tokio::time::timeout(PATIENCE, one.text()).await??;
    ensure!(!rest.contains("data:"), "{rest}");
    instance.stop().await
}
