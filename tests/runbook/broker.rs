//! RabbitMQ: short of memory, down, and without a queue.

use crate::{desk::readiness, walk};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::{PATIENCE, Stack, With, eventually};

#[tokio::test]
async fn while_rabbitmq_has_an_alarm_orders_are_stored_and_begin_when_it_is_over() -> Result<()> {
    walk("RabbitMQ raises an alarm", &[With::OwnRabbitmq], async |stack, desk| {
        // Queues younger than half a second may not survive what RabbitMQ 3.10 does next.
        let warm = stack.order_paid_with("card_ok", 1).await?;
        stack.wait_saga(warm, "completed").await?;
        let set = |share| ["set_vm_memory_high_watermark", share];
        stack.instances().rabbitmqctl(0, &set("0.00001")).await?;
        let id = stack.order_paid_with("card_ok", 1).await?;
        eventually(PATIENCE, "a publisher to be told", async || {
            let (status, body) = readiness(stack, "order").await?;
            ensure!(status == 503, "{body}");
            desk.sees("takes no messages", &body)
        })
        .await?;
        eventually(PATIENCE, "connections to be blocked", async || {
            desk.sees("block", &connections(stack).await?)
        })
        .await?;
        let order = stack.get("order", &format!("/api/v1/orders/{id}")).await?;
        ensure!(order["status"] == "pending", "{order}");

        stack.instances().rabbitmqctl(0, &set("0.6")).await?;
        stack.wait_saga(id, "completed").await?;
        stack.wait_all_ready().await?;
        eventually(PATIENCE, "connections to run", async || {
            let states = connections(stack).await?;
            ensure!(!states.contains("block"), "{states}");
            desk.sees("running", &states)
        })
        .await
    })
    .await
}

#[tokio::test]
async fn while_rabbitmq_is_down_readiness_names_it_and_afterwards_everything_goes_on() -> Result<()>
{
    walk("RabbitMQ is down", &[With::OwnRabbitmq], async |stack, desk| {
        let warm = stack.order_paid_with("card_ok", 1).await?;
        stack.wait_saga(warm, "completed").await?;
        stack.rabbitmq("stop").await?;
        for process in ["orchestrator", "order", "payment"] {
            eventually(PATIENCE, "it to be noticed", async || {
                let (status, body) = readiness(stack, process).await?;
                ensure!(status == 503, "{process}: {body}");
                desk.sees("publisher", &body)
            })
            .await?;
        }
        let id = stack.order_paid_with("card_ok", 1).await?;
        stack.rabbitmq("start").await?;
        stack.wait_all_ready().await?;
        let saga = stack.wait_saga(id, "completed").await?;
        for step in saga["steps"].as_array().into_iter().flatten() {
            ensure!(step["attempts"] == 1, "no attempt is spent: {step}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_queue_that_was_deleted_is_declared_anew_and_what_was_in_it_is_asked_for_again()
-> Result<()> {
    walk("A queue is missing", &[], async |stack, desk| {
        // Nobody is there to declare it again.
        stack.stop("inventory").await?;
        stack.vhost().delete_queue("inventory.commands").await?;
        let id = stack.order_paid_with("card_ok", 1).await?;
        desk.knows("<id>", id);
        stack.wait_metric("orchestrator", "messages_unroutable_total", &[], 1.0).await?;
        let nowhere = |it: &Value| it["commands"]["ready"].is_null();
        desk.watches_participant(stack, "inventory", nowhere).await?;
        desk.watches("sagactl participants", |out| out.contains('?')).await?.shows("?")?;

        stack.restart("inventory").await?;
        desk.types("sagactl sagas retry <id> --step reserve-stock --reason \"…\"").await?;
        stack.wait_saga(id, "completed").await?;
        let back = |it: &Value| it["commands"]["consumers"] == 1;
        desk.watches_participant(stack, "inventory", back).await?;

        // With its service there, nobody has to do anything.
        stack.vhost().delete_queue("inventory.commands").await?;
        desk.watches_participant(stack, "inventory", back).await?;
        let id = stack.order_paid_with("card_ok", 1).await?;
        stack.wait_saga(id, "completed").await?;
        Ok(())
    })
    .await
}

/// The states of this stack's connections, as the management UI shows them.
async fn connections(stack: &Stack) -> Result<String> {
    let all = stack.vhost().listed("connections").await?;
    let all = all.as_array().context("no list of connections")?;
    ensure!(!all.is_empty(), "there are no connections");
    let states = all.iter().map(|one| one["state"].as_str().context("no state"));
    Ok(states.collect::<Result<Vec<_>>>()?.join(" "))
}
