//! The other companies, away for a while.

use crate::{load, on_stack};
use anyhow::{Result, ensure};
use serde_json::json;
use testkit::Stack;

const GATEWAY: &str = r#"breaker="gateway""#;

#[tokio::test]
async fn while_the_gateway_is_down_nothing_is_spent_and_afterwards_all_is_finished() -> Result<()> {
    on_stack(&[], async |stack| {
        stack.set_fault(json!({ "target": "gateway", "mode": "down" })).await?;
        let mut orders = Vec::new();
        for _ in 0..12 {
            orders.push(stack.order_paid_with("card_ok", 1).await?);
        }
        stack.wait_metric("payment", "breaker_state", &[GATEWAY], 2.0).await?;
        stack.set_fault(json!({ "target": "gateway", "mode": "ok" })).await?;
        for id in orders {
            let saga = stack.wait_saga(id, "completed").await?;
            for step in saga["steps"].as_array().into_iter().flatten() {
                ensure!(step["attempts"] == 1, "{step}");
            }
        }
        load::nothing_was_given_up(stack).await
    })
    .await
}

#[tokio::test]
async fn while_the_gateway_is_down_one_probe_at_a_time_asks_for_it_whatever_waits() -> Result<()> {
    on_stack(&[], async |stack| {
        stack.set_fault(json!({ "target": "gateway", "mode": "down" })).await?;
        let mut orders = load::submit(stack, 16).await?;
        stack
            .wait_metric("payment", "breaker_changes_total", &[GATEWAY, r#"to="open""#], 1.0)
            .await?;
        let (probes, calls) = (probes(stack).await?, calls(stack).await?);
        orders.extend(load::submit(stack, 16).await?);
        let half_open = [GATEWAY, r#"to="half-open""#];
        stack.wait_metric("payment", "breaker_changes_total", &half_open, probes + 3.0).await?;
        let (calls, probes) =
            (self::calls(stack).await? - calls, self::probes(stack).await? - probes);
        ensure!(calls <= probes, "{calls} calls in {probes} half-open moments");
        let spent = stack.metric("payment", "command_retries_total", &[]).await?;
        ensure!(spent <= 5.0, "{spent} retries: only what was under way when it opened spends one");
        stack.set_fault(json!({ "target": "gateway", "mode": "ok" })).await?;
        load::end(stack, &orders).await?;
        load::nothing_was_given_up(stack).await
    })
    .await
}

/// What the gateway was asked, however it answered.
async fn calls(stack: &Stack) -> Result<f64> {
    let name = "http_server_request_duration_seconds_count";
    stack.metric("simulator", name, &[r#"route="/gateway/"#]).await
}

async fn probes(stack: &Stack) -> Result<f64> {
    stack.metric("payment", "breaker_changes_total", &[GATEWAY, r#"to="half-open""#]).await
}
