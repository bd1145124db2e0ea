//! What comes twice happens once.

use crate::{on_stack, wire, wire::Wire};
use anyhow::{Result, ensure};
use contracts::{Leg, Outcome, StartEnvelope};
use messaging::Outgoing;
use serde_json::{Value, json};
use testkit::{PATIENCE, Stack, eventually};

#[tokio::test]
async fn a_command_that_comes_again_is_answered_again_and_does_nothing() -> Result<()> {
    on_stack(&[], async |stack| {
        let done = stack.order_paid_with("card_ok", 1).await?;
        let undone = stack.order_paid_with("card_capture_fails", 1).await?;
        let done = stack.wait_saga(done, "completed").await?;
        let undone = stack.wait_saga(undone, "compensated").await?;
        let before = everything(stack).await?;
        let mut again = Vec::new();
        for saga in [&done, &undone] {
            for step in saga["steps"].as_array().into_iter().flatten() {
                let name = step["name"].as_str().unwrap_or_default();
                for leg in [Leg::Action, Leg::Compensation] {
                    again.extend(wire::command(saga, name, leg).ok());
                }
            }
        }
        // Seven actions of the one; five actions and four compensations of the other.
        ensure!(again.len() == 16, "{} commands", again.len());
        let twice: Vec<_> = again.iter().chain(&again).map(Outgoing::command).collect();
        Wire::to(stack)?.send(&twice).await?;
        // Each is answered, and each answer is old news to its saga.
        stack.wait_metric("orchestrator", "events_ignored_total", &[], 32.0).await?;
        let mut recognised = 0.0;
        for participant in ["order", "inventory", "payment", "shipping", "notification"] {
            recognised += stack.metric(participant, "command_duplicates_total", &[]).await?;
        }
        ensure!(recognised == 32.0, "{recognised} of 32 were answered from the inbox");
        let after = everything(stack).await?;
        ensure!(before == after, "before: {before}\nafter: {after}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_answer_that_comes_again_moves_its_saga_no_further() -> Result<()> {
    on_stack(&[], async |stack| {
        stack.stop("shipping").await?;
        let id = stack.order_paid_with("card_ok", 1).await?;
        let saga = stack.wait_until(id, "shipping to be asked", waits_for_shipping).await?;
        let mut again = Vec::new();
        for step in ["open-order", "reserve-stock", "authorise-payment"] {
            for outcome in [Outcome::Done, Outcome::Done, Outcome::Refused, Outcome::Faulted] {
                again.push(Outgoing::reply(&wire::reply(&saga, step, outcome)?));
            }
        }
        Wire::to(stack)?.send(&again).await?;
        stack.wait_metric("orchestrator", "events_ignored_total", &[], 12.0).await?;
        let now = stack.saga(id).await?;
        ensure!(now["history"] == saga["history"], "it moved: {}", stack.timeline(id).await);
        stack.restart("shipping").await?;
        let saga = stack.wait_saga(id, "completed").await?;
        for step in saga["steps"].as_array().into_iter().flatten() {
            ensure!(step["attempts"] == 1, "{step}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_start_that_comes_again_starts_nothing() -> Result<()> {
    on_stack(&[], async |stack| {
        let id = stack.order_paid_with("card_ok", 1).await?;
        let saga = stack.wait_saga(id, "completed").await?;
        let before = everything(stack).await?;
        let mut input = saga["data"].clone();
        if let Some(input) = input.as_object_mut() {
            input.retain(|name, _| !["order", "tracking"].contains(&name.as_str()));
        }
        let start = Outgoing::start(&StartEnvelope {
            saga: id,
            definition: "place-order".to_owned(),
            traceparent: None,
            body: input.to_string().into_bytes(),
        });
        let wire = Wire::to(stack)?;
        wire.send(&[start.clone(), start]).await?;
        // Starts are taken in order: once a later one has got anywhere, those were seen.
        let later = stack.order_paid_with("card_declined", 1).await?;
        stack.wait_saga(later, "compensated").await?;
        eventually(PATIENCE, "every start to be taken", async || {
            let starts = r#"queue="orchestrator.starts""#;
            let taken = stack.metric("orchestrator", "messages_consumed_total", &[starts]).await?;
            ensure!(taken == 4.0, "{taken} taken");
            Ok(())
        })
        .await?;
        ensure!(stack.saga(id).await? == saga, "it moved: {}", stack.timeline(id).await);
        let after = everything(stack).await?;
        ensure!(before["parcels"] == after["parcels"], "before: {before}\nafter: {after}");
        Ok(())
    })
    .await
}

fn waits_for_shipping(saga: &Value) -> bool {
    saga["waits"][0]["step"] == "book-shipment"
}

/// The books of everybody.
async fn everything(stack: &Stack) -> Result<Value> {
    let ledger = stack.ledger().await?;
    Ok(json!({
        "orders": stack.list("order", "/api/v1/orders").await?,
        "stock": stack.list("inventory", "/api/v1/products").await?,
        "money": ledger["authorisations"],
        "parcels": ledger["shipments"],
        "told": stack.list("notification", "/api/v1/notifications").await?,
    }))
}
