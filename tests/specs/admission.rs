//! Finish first: starts wait in their queue while enough sagas are in flight.

use crate::on_stack;
use anyhow::{Context, Result, ensure};
use contracts::SagaId;
use messaging::STARTS_QUEUE;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{PATIENCE, Stack, With, eventually};
use uuid::Uuid;

const WINDOW: usize = 5;
const ORDERS: usize = 50;
const FIVE: With = With::Env("orchestrator", "SAGA_IN_FLIGHT", "5");

#[tokio::test]
async fn starts_beyond_the_window_wait_in_their_queue_and_all_of_them_complete_in_the_end()
-> Result<()> {
    on_stack(&[FIVE], async |stack| {
        stack.stop("payment").await?;
        let orders = place(stack, ORDERS).await?;
        // The broker counts every five seconds: this look is long after the last order was placed.
        let waiting = ORDERS - WINDOW;
        until_waiting(stack, waiting).await?;
        ensure!(sagas(stack).await? == WINDOW, "{} sagas exist", sagas(stack).await?);
        stack.wait_metric("orchestrator", "starts_held", &[], 1.0).await?;
        let in_flight = stack.metric("orchestrator", "starts_window_taken", &[]).await?;
        ensure!(in_flight == 5.0, "{in_flight} sagas in flight are told");

        // One that waits can be withdrawn, as if nothing held it.
        let path = format!("/api/v1/orders/{}", withdrawable(stack, &orders).await?);
        let answer = stack.request(Method::DELETE, "order", &path)?.send().await?;
        ensure!(answer.status().as_u16() == 202, "withdrawal: {}", answer.status());
        let order = answer.json::<Value>().await?;
        ensure!(order["status"] == "cancelled", "{order}");

        // What is known of the window is in the journal: a new process lets nobody more in.
        stack.kill9("orchestrator").await?;
        stack.restart("orchestrator").await?;
        stack.wait_metric("orchestrator", "starts_held", &[], 1.0).await?;
        ensure!(sagas(stack).await? == WINDOW, "{} sagas exist", sagas(stack).await?);

        stack.restart("payment").await?;
        eventually(PATIENCE * 2, "every saga to end", async || {
            let listed = stack.list("orchestrator", "/api/v1/sagas").await?;
            let is = |word: &str| listed.iter().filter(|saga| saga["state"] == word).count();
            let (completed, compensated) = (is("completed"), is("compensated"));
            ensure!((completed, compensated) == (ORDERS - 1, 1), "{completed}, {compensated}");
            Ok(())
        })
        .await
    })
    .await
}

#[tokio::test]
async fn parked_sagas_take_no_place_in_the_window() -> Result<()> {
    let options = [
        FIVE,
        With::Env("orchestrator", "SAGA_STEP_ATTEMPTS", "1"),
        With::Env("orchestrator", "SAGA_STEP_TIMEOUT", "4"),
    ];
    on_stack(&options, async |stack| {
        stack.stop("notification").await?;
        // More than the window holds: they are let in as those before them park.
        let stuck = place(stack, 2 * WINDOW).await?;
        for id in &stuck {
            let parked = |saga: &Value| !saga["parked"].is_null();
            // Known once it has begun.
            eventually(PATIENCE, "the saga to begin", async || stack.saga(*id).await).await?;
            stack.wait_until(*id, "the saga to park", parked).await?;
        }
        let next = place(stack, 1).await?[0];
        eventually(PATIENCE, "another saga to begin", async || stack.saga(next).await).await?;
        stack.restart("notification").await?;
        // Told late: the commands are still in their queue.
        for id in stuck.into_iter().chain([next]) {
            stack.wait_saga(id, "completed").await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn several_orchestrators_keep_to_one_window() -> Result<()> {
    let options = [With::Orchestrators(2), With::EnvOfAll("SAGA_IN_FLIGHT", "6")];
    on_stack(&options, async |stack| {
        stack.stop("payment").await?;
        // One after the other, so that each orchestrator sees what the other has begun.
        for begun in 1..=6 {
            place(stack, 1).await?;
            eventually(PATIENCE, "the saga to begin", async || {
                let there = sagas(stack).await?;
                ensure!(there == begun, "{there} sagas exist, not {begun}");
                Ok(())
            })
            .await?;
        }
        place(stack, 24).await?;
        for process in ["orchestrator", "orchestrator-2"] {
            stack.wait_metric(process, "starts_held", &[], 1.0).await?;
        }
        // Each may have seen the last place free.
        let there = sagas(stack).await?;
        ensure!((6..=8).contains(&there), "{there} sagas exist");
        stack.restart("payment").await
    })
    .await
}

async fn place(stack: &Stack, count: usize) -> Result<Vec<SagaId>> {
    let mut orders = Vec::with_capacity(count);
    for _ in 0..count {
        // On a busy machine the first connections take their time, and the answer is 503.
        let key = Uuid::new_v4().to_string();
        let placed = eventually(PATIENCE, "an order to be taken", async || {
            let order = json!({
                "customer_id": "cust_123",
                "items": [{ "product_id": "prod_001", "quantity": 1 }],
            });
            let request = stack.request(Method::POST, "order", "/api/v1/orders")?.json(&order);
            let answer = request.header("Idempotency-Key", &key).send().await?;
            let answer: Value = answer.error_for_status()?.json().await?;
            Ok(answer["order_id"].as_str().context("no order_id")?.parse()?)
        })
        .await;
        orders.push(stack.explain(placed).await?);
    }
    Ok(orders)
}

async fn sagas(stack: &Stack) -> Result<usize> {
    Ok(stack.list("orchestrator", "/api/v1/sagas").await?.len())
}

/// Until so many starts are in their queue, and in nobody's hands but the orchestrator's.
async fn until_waiting(stack: &Stack, starts: usize) -> Result<()> {
    let waiting = eventually(PATIENCE, "starts to wait in their queue", async || {
        let queue = stack.vhost().queue(STARTS_QUEUE).await?;
        let messages = queue["messages"].as_u64().context("no count")?;
        ensure!(messages == u64::try_from(starts)?, "{messages} starts are in the queue");
        let held = queue["messages_unacknowledged"].as_u64().context("no count")?;
        ensure!(held <= u64::try_from(WINDOW)?, "{held} of them are held by the orchestrator");
        Ok(())
    })
    .await;
    stack.explain(waiting).await
}

/// An order whose saga has not begun.
async fn withdrawable(stack: &Stack, orders: &[SagaId]) -> Result<SagaId> {
    for id in orders {
        if stack.saga(*id).await.is_err() {
            return Ok(*id);
        }
    }
    anyhow::bail!("every order has its saga")
}
