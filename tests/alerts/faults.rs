//! Four faults, and what each of them must be seen by.

use crate::prometheus::Prometheus;
use anyhow::{Context as _, Result, ensure};
use contracts::SagaId;
use reqwest::Method;
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};
use testkit::{Stack, eventually};

/// Between two orders of the load under which a participant retries.
const PACE: Duration = Duration::from_millis(150);
const SHELF_IS_COUNTED: &str = "
    CREATE FUNCTION counted() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'the shelf is being counted'; END $$;
    CREATE TRIGGER counted BEFORE INSERT OR UPDATE ON hold EXECUTE FUNCTION counted();";
const SHELF_IS_FREE: &str = "DROP TRIGGER counted ON hold; DROP FUNCTION counted();";

/// The alerts that were seen to fire and to clear.
pub async fn play(stack: &mut Stack, prometheus: &Prometheus) -> Result<BTreeSet<&'static str>> {
    prometheus.silence().await?;
    let good = stack.order_paid_with("card_ok", 1).await?;
    stack.wait_saga(good, "completed").await?;

    let mut seen = BTreeSet::new();
    let gone = participant_gone(stack, prometheus).await?;
    seen.extend(gone);
    seen.extend(participant_failing(stack, prometheus, &gone).await?);
    seen.extend(gateway_and_broker(stack, prometheus).await?);
    seen.extend(database_gone(stack, prometheus).await?);
    Ok(seen)
}

/// Payment is not there, and then not even its queue. What will be declined at its return waits, with
/// a hold on the shelf. It stays gone: what fires is to clear when it is back.
async fn participant_gone(stack: &mut Stack, prometheus: &Prometheus) -> Result<[&'static str; 4]> {
    let began = Instant::now();
    stack.kill9("payment").await?;
    for _ in 0..4 {
        let id = stack.order_paid_with("card_declined", 1).await?;
        at_payment(stack, id).await?;
    }
    let seen = ["ProcessDown", "ConsumerMissing", "NoProgress", "Unroutable"];
    prometheus.fire(&seen[..3], began).await?;
    delete_queue(stack, "payment.commands").await?;
    let id = stack.order_paid_with("card_ok", 1).await?;
    at_payment(stack, id).await?;
    prometheus.fire(&seen[3..], began).await?;
    Ok(seen)
}

/// Payment is back, and whatever inventory writes fails: new orders are given up, and those that are
/// declined cannot be undone.
async fn participant_failing(
    stack: &mut Stack,
    prometheus: &Prometheus,
    gone: &[&str],
) -> Result<[&'static str; 5]> {
    let began = Instant::now();
    shelf(stack, SHELF_IS_COUNTED).await?;
    stack.restart("payment").await?;
    let seen =
        ["RetryStorm", "DeadLetters", "CompensationFailing", "SagasParked", "OldestSagaTooOld"];
    tokio::select! {
        fired = prometheus.fire(&seen[..2], began) => fired?,
        failed = load(stack) => return Err(failed),
    }
    prometheus.clear(gone).await?;
    prometheus.fire(&seen[2..], began).await?;

    shelf(stack, SHELF_IS_FREE).await?;
    eventually(Duration::from_secs(60), "nothing to be parked", async || {
        let asked = json!({ "filter": { "parked": true }, "reason": "the shelf is counted" });
        let request = stack.request(Method::POST, "orchestrator", "/api/v1/sagas/bulk/resume")?;
        let answer = request.json(&asked).send().await?.error_for_status()?;
        let resumed: serde_json::Value = answer.json().await?;
        ensure!(resumed["matched"] == 0, "{resumed}");
        Ok(())
    })
    .await?;
    prometheus.clear(&seen).await?;
    Ok(seen)
}

/// Orders, one after the other, until one is not taken.
async fn load(stack: &Stack) -> anyhow::Error {
    loop {
        if let Err(error) = stack.order_paid_with("card_ok", 1).await {
            return error;
        }
        // A pace, not a wait for something.
        tokio::time::sleep(PACE).await;
    }
}

/// The gateway answers nobody; and RabbitMQ believes that it is short of memory.
async fn gateway_and_broker(
    stack: &mut Stack,
    prometheus: &Prometheus,
) -> Result<[&'static str; 2]> {
    let began = Instant::now();
    stack.set_fault(json!({ "target": "gateway", "mode": "down" })).await?;
    for _ in 0..8 {
        stack.order_paid_with("card_ok", 1).await?;
    }
    prometheus.fire(&["BreakerOpen"], began).await?;
    watermark(stack, "0.00001").await?;
    prometheus.fire(&["BrokerAlarm"], began).await?;
    watermark(stack, "0.4").await?;
    stack.set_fault(json!({ "target": "gateway", "mode": "ok" })).await?;
    let seen = ["BreakerOpen", "BrokerAlarm"];
    prometheus.clear(&seen).await?;
    Ok(seen)
}

async fn database_gone(stack: &mut Stack, prometheus: &Prometheus) -> Result<[&'static str; 1]> {
    let began = Instant::now();
    stack.postgres("stop").await?;
    prometheus.fire(&["DatabaseDown"], began).await?;
    stack.postgres("start").await?;
    prometheus.clear(&["DatabaseDown"]).await?;
    Ok(["DatabaseDown"])
}

async fn at_payment(stack: &Stack, id: SagaId) -> Result<()> {
    let asked = |saga: &serde_json::Value| saga["waits"][0]["step"] == "authorise-payment";
    stack.wait_until(id, "payment to be asked", asked).await.map(drop)
}

async fn delete_queue(stack: &Stack, queue: &str) -> Result<()> {
    let path = format!("/api/queues/{}/{queue}", stack.vhost().name());
    let url = stack.instances().management.join(&path)?;
    let client = runtime::http_client::client()?;
    client.delete(url).send().await?.error_for_status().context("the queue is not deleted")?;
    Ok(())
}

async fn watermark(stack: &Stack, fraction: &str) -> Result<()> {
    let arguments = ["set_vm_memory_high_watermark", fraction];
    stack.instances().rabbitmqctl(0, &arguments).await.map(drop)
}

/// As the role that migrates.
async fn shelf(stack: &Stack, sql: &'static str) -> Result<()> {
    let mut owner = PgConnection::connect(stack.database("inventory")?.owner_url()).await?;
    sqlx::raw_sql(sql).execute(&mut owner).await?;
    Ok(owner.close().await?)
}
