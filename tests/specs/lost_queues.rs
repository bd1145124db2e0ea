//! A queue that is deleted together with messages that were sent once.

use crate::{load, on_stack};
use anyhow::{Result, ensure};
use testkit::{PATIENCE, Stack, With, eventually};

#[tokio::test]
async fn orders_whose_starts_were_lost_with_the_queue_are_begun_all_the_same() -> Result<()> {
    on_stack(&[With::Env("order", "START_PATIENCE", "1")], async |stack| {
        stack.kill9("orchestrator").await?;
        let orders = load::submit(stack, 12).await?;
        everything_is_sent(stack).await?;
        stack.vhost().delete_queue("orchestrator.starts").await?;
        stack.launch("orchestrator")?;
        stack.wait_all_ready().await?;
        load::end(stack, &orders).await?;
        load::nothing_was_given_up(stack).await
    })
    .await
}

#[tokio::test]
async fn stock_and_figures_follow_an_order_whose_confirmation_was_lost_with_the_queues()
-> Result<()> {
    on_stack(&[], async |stack| {
        // So that the order waits where nothing but its confirmation is still to come to inventory.
        stack.kill9("payment").await?;
        let id = stack.order_paid_with("card_ok", 3).await?;
        let reserved = |saga: &serde_json::Value| saga["steps"][1]["status"] == "done";
        stack.wait_until(id, "the stock to be reserved", reserved).await?;
        for listener in ["inventory", "analytics"] {
            stack.kill9(listener).await?;
            stack.vhost().delete_queue(&messaging::event_queue(listener)).await?;
        }
        stack.launch("payment")?;
        stack.wait_saga(id, "completed").await?;
        everything_is_sent(stack).await?;
        stack.launch("inventory")?;
        stack.launch("analytics")?;
        stack.wait_all_ready().await?;
        eventually(PATIENCE, "everybody to know of the order", async || {
            let holds = stack.get("inventory", &format!("/api/v1/holds?order_id={id}")).await?;
            ensure!(holds["items"][0]["status"] == "shipped", "{holds}");
            let told = stack.get("analytics", "/api/v1/analytics").await?;
            ensure!(told["orders"]["confirmed"] == 1, "{told}");
            Ok(())
        })
        .await
    })
    .await
}

/// Nothing waits in the outbox: what was to be sent is in a queue, or was in one.
async fn everything_is_sent(stack: &Stack) -> Result<()> {
    let pool = stack.database("order")?.pool();
    eventually(PATIENCE, "the outbox to be empty", async || {
        let waiting: i64 =
            sqlx::query_scalar("SELECT count(*) FROM outbox").fetch_one(pool).await?;
        ensure!(waiting == 0, "{waiting} messages wait");
        Ok(())
    })
    .await
}
