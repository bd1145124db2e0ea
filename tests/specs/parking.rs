//! Sagas that cannot go on alone, and what gets them going again.

use crate::{on_stack, wire::Wire};
use anyhow::{Result, ensure};
use contracts::SagaId;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Stack, With};

/// One attempt each, so that a saga parks at the first failure.
const ONE_ATTEMPT: [With; 2] = [
    With::Env("orchestrator", "SAGA_STEP_ATTEMPTS", "1"),
    With::Env("payment", "WORKER_RETRIES", "0"),
];

#[tokio::test]
async fn a_pivot_that_cannot_be_answered_parks_and_is_resumed_to_its_end() -> Result<()> {
    on_stack(&ONE_ATTEMPT, async |stack| {
        let id = stack.until_shipping("DE").await?;
        gateway(stack, "down").await?;
        stack.restart("shipping").await?;
        let saga = parked(stack, id).await?;
        ensure!(saga["state"] == "running", "never backward: {}", saga["state"]);
        ensure!(saga["parked"]["step"] == "capture-payment", "{}", saga["parked"]);
        gateway(stack, "ok").await?;
        resume(stack, id).await?;
        stack.wait_saga(id, "completed").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn money_that_cannot_be_let_go_parks_its_saga_and_is_let_go_when_it_is_resumed() -> Result<()>
{
    on_stack(&ONE_ATTEMPT, async |stack| {
        let id = stack.until_shipping("XX").await?;
        gateway(stack, "down").await?;
        stack.restart("shipping").await?;
        let saga = parked(stack, id).await?;
        ensure!(saga["state"] == "compensating", "{}", saga["state"]);
        ensure!(saga["parked"]["step"] == "authorise-payment", "{}", saga["parked"]);
        ensure!(saga["parked"]["leg"] == "compensation", "{}", saga["parked"]);
        gateway(stack, "ok").await?;
        resume(stack, id).await?;
        stack.wait_saga(id, "compensated").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_pivot_without_an_answer_parks_and_a_late_answer_finishes_it() -> Result<()> {
    on_stack(&dies_when_authorised("1"), async |stack| {
        let id = stack.order_paid_with("card_ok", 1).await?;
        parked(stack, id).await?;
        stack.restart("payment").await?;
        stack.wait_saga(id, "completed").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_pivot_whose_every_attempt_was_lost_is_finished_by_resuming_it() -> Result<()> {
    on_stack(&dies_when_authorised("2"), async |stack| {
        let id = stack.order_paid_with("card_ok", 1).await?;
        let saga = parked(stack, id).await?;
        ensure!(saga["parked"]["step"] == "capture-payment", "{}", saga["parked"]);
        ensure!(saga["parked"]["attempts"] == 2, "{}", saga["parked"]);
        // The authorisation, which payment had no time to acknowledge, and both attempts.
        Wire::to(stack)?.commands("payment", 3).await?;
        stack.restart("payment").await?;
        resume(stack, id).await?;
        let saga = stack.wait_saga(id, "completed").await?;
        ensure!(saga["steps"][4]["attempts"] == 3, "{}", saga["steps"][4]);
        let again = post(stack, id, "resume", &json!({ "reason": "once more" })).await?;
        ensure!(again == 409, "resuming what has ended: {again}");
        Ok(())
    })
    .await
}

/// Attempts of three seconds: long for a healthy participant, short for a test. Payment answers
/// the authorisation and is not there any more when the capture is asked for.
fn dies_when_authorised(attempts: &'static str) -> [With; 3] {
    [
        With::Env("orchestrator", "SAGA_STEP_TIMEOUT", "3"),
        With::Env("orchestrator", "SAGA_STEP_ATTEMPTS", attempts),
        With::Env("payment", "FAILPOINTS", "worker.after-publish:payment.authorise=kill"),
    ]
}

async fn parked(stack: &Stack, id: SagaId) -> Result<Value> {
    stack.wait_until(id, "the saga to park", |saga| !saga["parked"].is_null()).await
}

async fn gateway(stack: &Stack, mode: &str) -> Result<()> {
    stack.set_fault(json!({ "target": "gateway", "mode": mode })).await
}

async fn resume(stack: &Stack, id: SagaId) -> Result<()> {
    let status = post(stack, id, "resume", &json!({ "reason": "the gateway is back" })).await?;
    ensure!(status == 202, "resuming was answered with {status}");
    Ok(())
}

async fn post(stack: &Stack, id: SagaId, verb: &str, body: &Value) -> Result<u16> {
    let path = format!("/api/v1/sagas/{id}/{verb}");
    let request = stack.request(Method::POST, "orchestrator", &path)?;
    Ok(request.json(body).send().await?.status().as_u16())
}
