//! The stack as tests use it, and the honesty of its checks.

use anyhow::Result;
use sqlx::types::Uuid;
use std::time::Duration;
use testkit::{Stack, With};

#[tokio::test]
async fn one_order_completes_one_is_undone_and_all_is_conserved() -> Result<()> {
    let stack = Stack::start(&[With::Orchestrators(2)]).await?;
    let good = stack.order_paid_with("card_ok", 2).await?;
    let declined = stack.order_paid_with("card_declined", 3).await?;
    stack.wait_saga(good, "completed").await?;
    stack.wait_saga(declined, "compensated").await?;
    stack.wait_order(good, "confirmed").await?;
    stack.wait_order(declined, "cancelled").await?;
    stack.assert_conserved().await
}

#[tokio::test]
async fn what_is_not_conserved_is_noticed() -> Result<()> {
    let stack = Stack::start(&[]).await?;
    let id = stack.order_paid_with("card_ok", 2).await?;
    stack.wait_order(id, "confirmed").await?;
    stack.assert_conserved().await?;
    let soon = Duration::from_secs(2);

    let inventory = stack.database("inventory")?.pool();
    let stray = "INSERT INTO hold (order_id, product_id, quantity) VALUES ($1, 'prod_001', 1)";
    let nobody = Uuid::new_v4();
    sqlx::query(stray).bind(nobody).execute(inventory).await?;
    stack.conserved_within(soon).await.unwrap_err();
    sqlx::query("DELETE FROM hold WHERE order_id = $1").bind(nobody).execute(inventory).await?;
    stack.conserved_within(soon).await?;

    let orders = stack.database("order")?.pool();
    sqlx::query("UPDATE orders SET amount = amount + 1").execute(orders).await?;
    stack.conserved_within(soon).await.unwrap_err();
    sqlx::query("UPDATE orders SET amount = amount - 1").execute(orders).await?;
    sqlx::query("UPDATE orders SET status = 'cancelled', reason = 'x', cause = 'x'")
        .execute(orders)
        .await?;
    stack.conserved_within(soon).await.unwrap_err();
    Ok(())
}

#[tokio::test]
async fn a_process_dies_at_its_failpoint_once_and_then_serves_again() -> Result<()> {
    let failpoint = With::Env("payment", "FAILPOINTS", "worker.after-commit:payment.capture=kill");
    let mut stack = Stack::start(&[failpoint]).await?;
    let id = stack.order_paid_with("card_ok", 1).await?;
    let ended = stack.wait_exit("payment", Duration::from_secs(30)).await?;
    assert!(!ended.success());
    stack.restart("payment").await?;
    stack.wait_order(id, "confirmed").await?;
    stack.assert_conserved().await
}

#[tokio::test]
async fn a_broker_and_a_database_of_its_own_can_be_killed() -> Result<()> {
    let mut stack = Stack::start(&[With::OwnRabbitmq, With::OwnPostgres]).await?;
    // Queues declared within half a second of a crash may come back without anybody to serve them
    // (RabbitMQ 3.10): after these they are older.
    for _ in 0..8 {
        let id = stack.order_paid_with("card_ok", 1).await?;
        stack.wait_order(id, "confirmed").await?;
    }
    stack.rabbitmq("kill").await?;
    stack.postgres("kill").await?;
    stack.postgres("start").await?;
    stack.rabbitmq("start").await?;
    stack.wait_all_ready().await?;
    let id = stack.order_paid_with("card_ok", 1).await?;
    stack.wait_order(id, "confirmed").await?;
    stack.assert_conserved().await
}
