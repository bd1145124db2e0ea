//! What the page of a saga says to whoever was called because of it.

use crate::{act, waiting_for_shipping, with_console};
use anyhow::Result;
use serde_json::{Value, json};
use testkit::{Stack, With};

/// One attempt each, so that a saga parks at the first failure.
const ONE_ATTEMPT: [With; 2] = [
    With::Env("orchestrator", "SAGA_STEP_ATTEMPTS", "1"),
    With::Env("payment", "WORKER_RETRIES", "0"),
];

#[tokio::test]
async fn a_parked_saga_says_why_and_what_to_press_and_pressing_it_helps() -> Result<()> {
    with_console(&ONE_ATTEMPT, async |stack, browser| {
        let saga = waiting_for_shipping(stack).await?;
        gateway(stack, "down").await?;
        stack.restart("shipping").await?;
        stack.wait_until(saga, "it to park", |saga| !saga["parked"].is_null()).await?;
        browser.visit("#/").await?;
        browser.shows(".sentence.troubled", "1 saga parked").await?;
        browser.click(".sentence a", "1 saga parked").await?;
        browser.shows(&format!("tr.striking[data-key='{saga}']"), "capture-payment").await?;
        browser.click(&format!("tr[data-key='{saga}'] a.id"), "").await?;
        browser.shows(".advice.stuck h2", "Stuck: it waits for you").await?;
        browser.shows(".advice li", "capture-payment failed in attempt 1").await?;
        browser.shows(".advice .counsel", "Press Resume").await?;
        browser.shows(".verbs .primary", "Resume…").await?;
        gateway(stack, "ok").await?;
        act(browser, "Resume", "payment.capture").await?;
        browser.shows("h1 ~ .state, h1 ~ .states", "completed").await?;
        browser.lacks(".advice").await?;
        stack.wait_saga(saga, "completed").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_saga_whose_participant_is_gone_says_so_and_that_nothing_has_to_be_pressed() -> Result<()>
{
    with_console(&[], async |stack, browser| {
        let saga = waiting_for_shipping(stack).await?;
        browser.visit(&format!("#/sagas/{saga}")).await?;
        browser.shows(".advice li", "Nobody takes shipping’s commands").await?;
        browser.shows(".advice .counsel", "Nothing has to be pressed").await?;
        stack.restart("shipping").await?;
        browser.shows("h1 ~ .state, h1 ~ .states", "completed").await?;
        browser.lacks(".advice").await
    })
    .await
}

#[tokio::test]
async fn an_illegal_verb_is_shown_with_the_reason_and_does_nothing() -> Result<()> {
    with_console(&[], async |stack, browser| {
        let saga = stack.order_paid_with("card_ok", 1).await?;
        stack.wait_saga(saga, "completed").await?;
        browser.visit(&format!("#/sagas/{saga}")).await?;
        browser.click(".illegal summary", "Why none").await?;
        browser.shows(".verbs button[aria-disabled]", "Cancel…").await?;
        browser.shows(".verbs dd", "Not now: the saga has ended").await?;
        browser.click(".verbs button", "Cancel…").await?;
        browser.lacks("dialog").await
    })
    .await
}

async fn gateway(stack: &Stack, mode: &str) -> Result<()> {
    let fault: Value = json!({ "target": "gateway", "mode": mode });
    stack.set_fault(fault).await
}
