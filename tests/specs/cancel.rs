//! Cancelling: at any moment before the pivot, never after it.

use crate::on_stack;
use anyhow::{Result, ensure};
use contracts::SagaId;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{PATIENCE, Stack, With};

#[tokio::test]
async fn an_order_that_is_withdrawn_before_its_saga_begins_is_never_carried_out() -> Result<()> {
    on_stack(&[], async |stack| {
        stack.stop("orchestrator").await?;
        let id = stack.order_paid_with("card_ok", 1).await?;
        let (status, order) = withdraw(stack, id).await?;
        ensure!(status == 202 && order["status"] == "cancelled", "{status}: {order}");
        stack.restart("orchestrator").await?;
        let saga = stack.wait_saga(id, "compensated").await?;
        ensure!(saga["cause"]["step"] == "open-order", "{}", saga["cause"]);
        let (status, order) = withdraw(stack, id).await?;
        ensure!(status == 200 && order["status"] == "cancelled", "{status}: {order}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_cancelled_order_is_undone_whatever_step_it_waits_for() -> Result<()> {
    on_stack(&[], async |stack| {
        stack.stop("shipping").await?;
        let (by_customer, by_operator) = (
            stack.order_paid_with("card_ok", 1).await?,
            stack.order_paid_with("card_ok", 2).await?,
        );
        for id in [by_customer, by_operator] {
            let asked = |saga: &Value| saga["waits"][0]["step"] == "book-shipment";
            stack.wait_until(id, "shipping to be asked", asked).await?;
        }
        let (status, order) = withdraw(stack, by_customer).await?;
        ensure!(status == 202, "{status}: {order}");
        let (status, answer) = cancel(stack, by_operator).await?;
        ensure!(status == 202, "{status}: {answer}");
        let (status, answer) = cancel(stack, by_operator).await?;
        ensure!(status == 409, "cancelling what is being undone: {status}: {answer}");
        // Shipping may have booked: it is asked to undo that before anybody else is.
        stack.restart("shipping").await?;
        for id in [by_customer, by_operator] {
            let saga = stack.wait_saga(id, "compensated").await?;
            ensure!(saga["cause"]["cause"] == "cancelled", "{}", saga["cause"]);
            stack.wait_order(id, "cancelled").await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn cancelled_at_any_step_an_order_is_undone_or_the_answer_says_why_not() -> Result<()> {
    // Who is away, so that the saga waits at this step; and whether it can still turn round.
    let steps = [
        ("order", "open-order", true),
        ("inventory", "reserve-stock", true),
        ("payment", "authorise-payment", true),
        ("shipping", "book-shipment", true),
        ("payment", "capture-payment", false),
        ("order", "confirm-order", false),
        ("notification", "notify-customer", false),
    ];
    let dies = With::Env("order", "FAILPOINTS", "worker.received:order.open=kill");
    on_stack(&[dies], async |stack| {
        for (participant, step, in_time) in steps {
            let id = waiting_at(stack, participant, step).await?;
            let (status, answer) = cancel(stack, id).await?;
            let expected = if in_time { 202 } else { 409 };
            ensure!(status == expected, "cancelled at {step}: {status}: {answer}");
            ensure!(in_time || answer["detail"].is_string(), "at {step} no reason: {answer}");
            stack.restart(participant).await?;
            let saga =
                stack.wait_saga(id, if in_time { "compensated" } else { "completed" }).await?;
            ensure!(!in_time || saga["cause"]["cause"] == "cancelled", "{step}: {}", saga["cause"]);
        }
        Ok(())
    })
    .await
}

/// An order that waits for the answer to this step, because this participant is not there.
async fn waiting_at(stack: &mut Stack, participant: &str, step: &str) -> Result<SagaId> {
    // Whoever has had a part in an earlier step leaves when that is done; shipping holds the saga
    // up meanwhile.
    let had_a_part = matches!(step, "capture-payment" | "confirm-order");
    let leaves_first = if had_a_part { "shipping" } else { participant };
    if step != "open-order" {
        stack.stop(leaves_first).await?;
    }
    let id = stack.order_paid_with("card_ok", 1).await?;
    if step == "open-order" {
        // The order service takes the order over REST, and dies of the command to open it.
        stack.wait_exit("order", PATIENCE).await?;
        stack.set_env("order", "FAILPOINTS", "")?;
    } else if had_a_part {
        let asked = |saga: &Value| saga["waits"][0]["step"] == "book-shipment";
        stack.wait_until(id, "shipping to be asked", asked).await?;
        stack.stop(participant).await?;
        stack.restart("shipping").await?;
    }
    let here = |saga: &Value| saga["waits"][0]["step"] == step;
    stack.wait_until(id, &format!("{step} to be asked for"), here).await?;
    Ok(id)
}

#[tokio::test]
async fn after_the_money_was_asked_for_an_order_is_not_cancelled_any_more() -> Result<()> {
    on_stack(&[], async |stack| {
        stack.set_fault(json!({ "target": "carrier", "mode": "slow", "latency_ms": 500 })).await?;
        let waiting = stack.order_paid_with("card_ok", 1).await?;
        let asked = |saga: &Value| saga["waits"][0]["step"] == "book-shipment";
        stack.wait_until(waiting, "shipping to be asked", asked).await?;
        stack.stop("payment").await?;
        let asked = |saga: &Value| saga["waits"][0]["step"] == "capture-payment";
        stack.wait_until(waiting, "the capture to be asked for", asked).await?;
        for (status, problem) in [withdraw(stack, waiting).await?, cancel(stack, waiting).await?] {
            ensure!(status == 409, "before its capture is answered: {status}: {problem}");
            ensure!(problem["detail"].is_string(), "no reason given: {problem}");
        }
        stack.restart("payment").await?;
        stack.wait_order(waiting, "confirmed").await?;
        stack.wait_saga(waiting, "completed").await?;
        for (status, problem) in [withdraw(stack, waiting).await?, cancel(stack, waiting).await?] {
            ensure!(status == 409, "after it was confirmed: {status}: {problem}");
            ensure!(problem["detail"].is_string(), "no reason given: {problem}");
        }
        Ok(())
    })
    .await
}

async fn withdraw(stack: &Stack, id: SagaId) -> Result<(u16, Value)> {
    let path = format!("/api/v1/orders/{id}");
    let answer = stack.request(Method::DELETE, "order", &path)?.send().await?;
    Ok((answer.status().as_u16(), answer.json().await?))
}

async fn cancel(stack: &Stack, id: SagaId) -> Result<(u16, Value)> {
    let path = format!("/api/v1/sagas/{id}/cancel");
    let request = stack.request(Method::POST, "orchestrator", &path)?;
    let answer = request.json(&json!({ "reason": "changed my mind" })).send().await?;
    Ok((answer.status().as_u16(), answer.json().await?))
}
