//! Processes that are not there.

use crate::walk;
use anyhow::{Result, ensure};
use serde_json::Value;
use testkit::{PATIENCE, Stack, eventually};

#[tokio::test]
async fn a_worker_is_gone_and_its_sagas_go_on_when_it_is_started() -> Result<()> {
    walk("A worker is gone", &[], async |stack, desk| {
        stack.kill9("inventory").await?;
        let id = stack.order_paid_with("card_ok", 1).await?;
        desk.knows("<id>", id);
        let gone = |it: &Value| {
            it["commands"]["consumers"] == 0
                && it["commands"]["ready"] == 1
                && it["reachable"] == false
        };
        desk.watches_participant(stack, "inventory", gone).await?;
        let line = "sagactl participants";
        desk.watches(line, |out| out.contains("does not answer"))
            .await?
            .shows("does not answer")?;
        let explained = desk.types("sagactl sagas explain <id>").await?;
        explained.shows("inventory has not answered")?.names("does not answer")?;

        stack.restart("inventory").await?;
        let saga = stack.wait_saga(id, "completed").await?;
        ensure!(saga["steps"][1]["attempts"] == 1, "{}", saga["steps"][1]);
        let back = |it: &Value| it["commands"]["consumers"] == 1 && it["commands"]["ready"] == 0;
        desk.watches_participant(stack, "inventory", back).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn no_saga_moves_until_an_orchestrator_is_back() -> Result<()> {
    walk("No saga moves", &[], async |stack, desk| {
        stack.stop("orchestrator").await?;
        let id = stack.order_paid_with("card_ok", 1).await?;
        desk.knows("<id>", id);
        // Nobody tells anything, and the exit code says so.
        desk.tries("sagactl top").await?.ends_with(2)?;
        let order = stack.get("order", &format!("/api/v1/orders/{id}")).await?;
        ensure!(order["status"] == "pending", "{order}");
        desk.sees("pending", &order.to_string())?;

        stack.restart("orchestrator").await?;
        stack.wait_saga(id, "completed").await?;
        stack.wait_metric("orchestrator", "replies_total", &[], 1.0).await?;
        desk.types("sagactl sagas show <id>").await?.names("completed")?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_oldest_saga_is_found_by_its_age_and_says_whom_it_waits_for() -> Result<()> {
    walk("The oldest saga is too old", &[], async |stack, desk| {
        stack.stop("payment").await?;
        let id = stack.order_paid_with("card_ok", 1).await?;
        desk.knows("<id>", id);
        desk.knows("15m", "0s");
        let line = "sagactl sagas list --open --older-than 15m";
        let listed = desk.watches(line, |out| out.contains(&id.to_string())).await?;
        listed.names("authorise-payment")?;
        desk.types("sagactl sagas explain <id>").await?.shows("payment has not answered")?;
        eventually(PATIENCE, "its age to be told", async || {
            let age = age(stack).await?;
            ensure!(age > 0.0, "{age}");
            Ok(())
        })
        .await?;
        stack.restart("payment").await?;
        stack.wait_saga(id, "completed").await?;
        eventually(PATIENCE, "the age to fall", async || {
            let age = age(stack).await?;
            ensure!(age < 1.0, "{age}");
            Ok(())
        })
        .await
    })
    .await
}

async fn age(stack: &Stack) -> Result<f64> {
    stack.metric("orchestrator", "saga_oldest_open_seconds", &[]).await
}
