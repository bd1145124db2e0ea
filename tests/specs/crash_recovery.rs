//! Processes that die, at the worst places.

use crate::on_stack;
use anyhow::{Result, ensure};
use std::time::Duration;
use testkit::{PATIENCE, Stack, With, eventually};

const DEATH: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_participant_that_dies_at_every_point_holds_the_stock_once() -> Result<()> {
    let deaths = ["before-commit", "after-commit", "after-publish"];
    let deaths = deaths.map(|point| format!("worker.{point}:inventory.reserve-stock=kill"));
    dies("inventory", &deaths).await
}

#[tokio::test]
async fn payment_that_dies_at_every_point_takes_the_money_once() -> Result<()> {
    let deaths = ["before-commit", "after-call", "after-commit", "after-publish"];
    let deaths = deaths.map(|point| format!("worker.{point}:payment.capture=kill"));
    dies("payment", &deaths).await
}

#[tokio::test]
async fn an_orchestrator_that_dies_at_every_point_drives_its_saga_once() -> Result<()> {
    let deaths = ["before-commit", "after-commit", "after-confirm"];
    let replies = deaths.map(|point| format!("orchestrator.{point}:payment.authorise=kill"));
    let starts = deaths.map(|point| format!("orchestrator.{point}:start=kill"));
    dies("orchestrator", &[starts, replies].concat()).await
}

/// One order, during which the process dies at each of these failpoints in turn.
async fn dies(process: &'static str, deaths: &[String]) -> Result<()> {
    on_stack(&[With::Stopped(process)], async |stack| {
        stack.set_env(process, "FAILPOINTS", &deaths[0])?;
        stack.restart(process).await?;
        let id = stack.order_paid_with("card_ok", 2).await?;
        for next in deaths[1..].iter().map(String::as_str).chain([""]) {
            ensure!(!stack.wait_exit(process, DEATH).await?.success(), "it ended by itself");
            stack.set_env(process, "FAILPOINTS", next)?;
            stack.launch(process)?;
        }
        stack.wait_saga(id, "completed").await?;
        stack.wait_order(id, "confirmed").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn no_money_stays_set_aside_when_payment_dies_before_it_notes_what_it_did() -> Result<()> {
    let death = "worker.after-call:payment.authorise=kill";
    on_stack(&[With::Env("payment", "FAILPOINTS", death)], async |stack| {
        let id = stack.order_paid_with("card_ok", 1).await?;
        stack.wait_exit("payment", DEATH).await?;
        let ledger = stack.ledger().await?;
        ensure!(ledger["authorisations"][0]["status"] == "authorised", "{ledger}");
        cancel(stack, id).await?;
        stack.restart("payment").await?;
        stack.wait_saga(id, "compensated").await?;
        let ledger = stack.ledger().await?;
        ensure!(ledger["authorisations"][0]["status"] == "voided", "{ledger}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn no_money_stays_set_aside_when_its_undo_comes_between_call_and_note() -> Result<()> {
    let hang = "worker.after-call:payment.authorise=hang";
    on_stack(&[With::Env("payment", "FAILPOINTS", hang)], async |stack| {
        let id = stack.order_paid_with("card_ok", 1).await?;
        eventually(PATIENCE, "the money to be set aside", async || {
            let ledger = stack.ledger().await?;
            ensure!(ledger["authorisations"][0]["status"] == "authorised", "{ledger}");
            Ok(())
        })
        .await?;
        cancel(stack, id).await?;
        stack.wait_saga(id, "compensated").await?;
        stack.kill9("payment").await?;
        stack.restart("payment").await?;
        // The command is handed out again; it is refused, and nobody waits for that.
        stack.wait_metric("orchestrator", "events_ignored_total", &[], 1.0).await
    })
    .await
}

async fn cancel(stack: &Stack, id: contracts::SagaId) -> Result<()> {
    let path = format!("/api/v1/sagas/{id}/cancel");
    let request = stack.request(reqwest::Method::POST, "orchestrator", &path)?;
    let answer = request.json(&serde_json::json!({ "reason": "changed my mind" })).send().await?;
    ensure!(answer.status() == 202, "{}", answer.text().await?);
    Ok(())
}
