//! The gateway and the carrier, away or unwell.

use crate::{desk::outside, walk};
use anyhow::{Result, ensure};
use serde_json::Value;
use testkit::With;

#[tokio::test]
async fn the_gateway_is_down_and_commands_wait_until_it_is_back() -> Result<()> {
    // However long this takes: after the time limit the orchestrator asks again, which is an attempt.
    let patient = With::Env("orchestrator", "SAGA_STEP_TIMEOUT", "600");
    walk("The gateway or carrier is down", &[patient], async |stack, desk| {
        outside(stack, "gateway", "down").await?;
        let mut ids = Vec::new();
        for _ in 0..8 {
            ids.push(stack.order_paid_with("card_ok", 1).await?);
        }
        desk.knows("<id>", ids[0]);
        let line = "sagactl participants";
        desk.watches(line, |out| out.contains("gateway open")).await?.shows("gateway open")?;
        // The others may all have been taken before.
        ids.push(stack.order_paid_with("card_ok", 1).await?);
        let explained = desk.types("sagactl sagas explain <id>").await?;
        explained.shows("payment has not answered")?;
        let open = |it: &Value| it["breakers"][0]["state"] == "open" && waiting(it) > 0;
        desk.watches_participant(stack, "payment", open).await?;
        // Who does not want to wait cancels; it is undone as soon as the gateway answers.
        desk.types("sagactl sagas cancel <id> --reason \"…\"").await?;

        outside(stack, "gateway", "ok").await?;
        stack.wait_saga(ids[0], "compensated").await?;
        for id in &ids[1..] {
            let saga = stack.wait_saga(*id, "completed").await?;
            ensure!(saga["steps"][2]["attempts"] == 1, "no attempt is spent: {}", saga["steps"][2]);
        }
        desk.watches(line, |out| !out.contains("gateway open")).await?.shows("closed")?;
        let well = |it: &Value| it["breakers"][0]["state"] == "closed" && waiting(it) == 0;
        desk.watches_participant(stack, "payment", well).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_participant_that_retries_gets_there_when_what_it_calls_is_well() -> Result<()> {
    walk("A participant retries more than it handles", &[], async |stack, desk| {
        // Down for one order alone: too seldom in a row for the breaker.
        outside(stack, "carrier", "down").await?;
        let id = stack.order_paid_with("card_ok", 1).await?;
        stack.wait_metric("shipping", "command_retries_total", &[], 1.0).await?;
        let retrying = |it: &Value| tiers(it) > 0;
        desk.watches_participant(stack, "shipping", retrying).await?;
        desk.types("sagactl participants").await?.shows("RETRYING")?;
        desk.sees("the carrier is unavailable", &stack.log("shipping")?)?;

        outside(stack, "carrier", "ok").await?;
        stack.wait_saga(id, "completed").await?;
        desk.watches_participant(stack, "shipping", |it| tiers(it) == 0).await?;
        Ok(())
    })
    .await
}

fn waiting(participant: &Value) -> u64 {
    participant["commands"]["ready"].as_u64().unwrap_or(0)
}

fn tiers(participant: &Value) -> u64 {
    let tiers = participant["retries"].as_array().into_iter().flatten();
    tiers.filter_map(|tier| tier["ready"].as_u64()).sum()
}
