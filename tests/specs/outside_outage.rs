//! The other companies, away for a while.

use crate::{load, on_stack};
use anyhow::{Result, ensure};
use serde_json::json;

#[tokio::test]
async fn while_the_gateway_is_down_nothing_is_spent_and_afterwards_all_is_finished() -> Result<()> {
    on_stack(&[], async |stack| {
        stack.set_fault(json!({ "target": "gateway", "mode": "down" })).await?;
        let mut orders = Vec::new();
        for _ in 0..12 {
            orders.push(stack.order_paid_with("card_ok", 1).await?);
        }
        stack.wait_metric("payment", "breaker_state", &[r#"breaker="gateway""#], 2.0).await?;
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
