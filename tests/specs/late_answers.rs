//! Answers and commands that come when nobody waits for them any more.

use crate::{on_stack, wire::Wire};
use anyhow::{Context, Result, ensure};
use messaging::Outgoing;
use testkit::With;

/// One attempt of two seconds: long for a healthy participant, short for a test.
const IMPATIENT: [With; 2] = [
    With::Env("orchestrator", "SAGA_STEP_TIMEOUT", "2"),
    With::Env("orchestrator", "SAGA_STEP_ATTEMPTS", "1"),
];

#[tokio::test]
async fn an_answer_after_its_saga_gave_up_changes_nothing() -> Result<()> {
    let hang = "worker.after-commit:inventory.reserve-stock=hang";
    let options = [&IMPATIENT[..], &[With::Env("inventory", "FAILPOINTS", hang)]].concat();
    on_stack(&options, async |stack| {
        let id = stack.order_paid_with("card_ok", 3).await?;
        let saga = stack.wait_saga(id, "compensated").await?;
        ensure!(saga["cause"]["cause"] == "unanswered", "{}", saga["cause"]);
        ensure!(saga["cause"]["step"] == "reserve-stock", "{}", saga["cause"]);
        // The command was never acknowledged: it is handed out again, and answered as it was.
        stack.kill9("inventory").await?;
        stack.restart("inventory").await?;
        stack.wait_metric("inventory", "command_duplicates_total", &[], 1.0).await?;
        stack.wait_metric("orchestrator", "events_ignored_total", &[], 1.0).await?;
        ensure!(stack.saga(id).await? == saga, "it moved: {}", stack.timeline(id).await);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn stock_is_not_held_by_a_command_that_its_undo_has_overtaken() -> Result<()> {
    overtaken("inventory", "reserve-stock").await
}

#[tokio::test]
async fn money_is_not_set_aside_by_a_command_that_its_undo_has_overtaken() -> Result<()> {
    overtaken("payment", "authorise-payment").await
}

/// The command is held up on its way until the saga has undone what it may have done.
async fn overtaken(participant: &str, step: &str) -> Result<()> {
    on_stack(&IMPATIENT, async |stack| {
        stack.stop(participant).await?;
        let id = stack.order_paid_with("card_ok", 1).await?;
        let wire = Wire::to(stack)?;
        let held = wire.commands(participant, 1).await?.pop().context("no command")?;
        ensure!(held.headers.text("saga-step") == Some(step), "{:?}", held.headers);
        let gave_up = |saga: &serde_json::Value| saga["state"] == "compensating";
        stack.wait_until(id, "the step to be given up", gave_up).await?;
        stack.restart(participant).await?;
        let saga = stack.wait_saga(id, "compensated").await?;
        wire.send(&[Outgoing::replay(&held, &held.queue)]).await?;
        stack.wait_metric(participant, "command_duplicates_total", &[], 1.0).await?;
        stack.wait_metric("orchestrator", "events_ignored_total", &[], 1.0).await?;
        ensure!(stack.saga(id).await? == saga, "it moved: {}", stack.timeline(id).await);
        Ok(())
    })
    .await
}
