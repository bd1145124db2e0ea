//! One dead letter.

use crate::{act, first_letter, waiting_for_shipping, wire::Wire, with_console};
use anyhow::Result;

#[tokio::test]
async fn a_dead_letter_is_replayed_from_its_page_and_its_saga_goes_on() -> Result<()> {
    with_console(&[], async |stack, browser| {
        let saga = waiting_for_shipping(stack).await?;
        let wire = Wire::to(stack)?;
        wire.bury_next("shipping", 1).await?;
        stack.restart("shipping").await?;
        let letter = first_letter(stack).await?;
        browser.visit("#/dead-letters").await?;
        browser.shows("td", "shipping.book").await?;
        browser.visit(&format!("#/dead-letters/{letter}")).await?;
        act(browser, "Replay", "shipping.book").await?;
        stack.wait_saga(saga, "completed").await?;
        browser.shows("h1 ~ .state", "replayed").await
    })
    .await
}

#[tokio::test]
async fn a_letter_that_nobody_can_read_is_shown_as_it_is_and_only_discarded() -> Result<()> {
    with_console(&[], async |stack, browser| {
        Wire::to(stack)?.send_unreadable().await?;
        let letter = first_letter(stack).await?;
        browser.visit(&format!("#/dead-letters/{letter}")).await?;
        browser.shows("pre", "no <b>JSON</b>").await?;
        browser.shows(".verbs button[aria-disabled]", "Replay…").await?;
        act(browser, "Discard", "discarded").await?;
        browser.shows("h1 ~ .state", "discarded").await
    })
    .await
}
