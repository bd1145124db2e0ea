//! Verbs for many, from the list.

use crate::{preview, waiting_for_shipping, with_console, with_excuses};
use anyhow::{Result, ensure};
use console_tests::{Browser, Excuse};
use contracts::SagaId;
use serde_json::Value;
use testkit::Stack;

/// A refusal is an answer like any other, but the browser complains of its status.
const REFUSED: [Excuse; 1] = [Excuse { path: "/cancel", says: "409" }];

#[tokio::test]
async fn those_that_are_ticked_are_cancelled_after_their_preview_and_a_refusal_stops_nobody()
-> Result<()> {
    with_excuses(&[], &REFUSED, async |stack, browser| {
        let done = stack.order_paid_with("card_ok", 1).await?;
        stack.wait_saga(done, "completed").await?;
        let ticked = [waiting_for_shipping(stack).await?, waiting_for_shipping(stack).await?];
        let other = waiting_for_shipping(stack).await?;
        browser.visit("#/sagas").await?;
        for saga in ticked.into_iter().chain([done]) {
            browser.click(&format!("input[aria-label='Tick {saga}']"), "").await?;
        }
        browser.shows(".bulk", "3 ticked").await?;
        browser.click(".bulk .ticked button", "Cancel…").await?;
        let told = "it would be accepted for 2, and refused for 1";
        preview(browser, "Cancel: 3 ticked sagas", "a wrong price", told).await?;
        untouched(stack, &ticked).await?;
        browser.click("dialog .primary", "Cancel 3 sagas").await?;
        browser.shows("dialog .preview", "Accepted for 2 of 3 sagas").await?;
        browser.shows("dialog details", "the saga has ended").await?;
        browser.click("dialog button", "Close").await?;
        over(stack, browser, &ticked).await?;
        stack.wait_saga(other, "completed").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn all_that_a_filter_finds_are_cancelled_after_their_preview_and_nobody_else() -> Result<()> {
    with_console(&[], async |stack, browser| {
        let done = stack.order_paid_with("card_ok", 1).await?;
        stack.wait_saga(done, "completed").await?;
        let found = [waiting_for_shipping(stack).await?, waiting_for_shipping(stack).await?];
        stack.stop("payment").await?;
        let other = stack.order_paid_with("card_ok", 1).await?;
        let asked = |saga: &Value| saga["waits"][0]["step"] == "authorise-payment";
        stack.wait_until(other, "payment to be asked", asked).await?;
        browser.visit("#/sagas?step=book-shipment").await?;
        browser.shows(&format!("tr[data-key='{}'] td", found[0]), "book-shipment").await?;
        browser.lacks(&format!("tr[data-key='{done}'], tr[data-key='{other}']")).await?;
        browser.click(".bulk .found button", "Cancel…").await?;
        let told = "2 sagas found: it would be accepted for 2, and refused for 0";
        preview(browser, "Cancel: all sagas that the filter finds", "a wrong price", told).await?;
        untouched(stack, &found).await?;
        browser.click("dialog .primary", "Cancel them").await?;
        browser.shows("dialog .preview", "Accepted for 2 of 2 sagas").await?;
        browser.click("dialog button", "Close").await?;
        ensure!(stack.saga(other).await?["state"] == "running", "it was not meant");
        stack.restart("payment").await?;
        over(stack, browser, &found).await?;
        stack.wait_saga(other, "completed").await?;
        Ok(())
    })
    .await
}

async fn untouched(stack: &Stack, sagas: &[SagaId]) -> Result<()> {
    for saga in sagas {
        let saga = stack.saga(*saga).await?;
        ensure!(saga["state"] == "running", "the preview acted: {saga}");
    }
    Ok(())
}

async fn over(stack: &mut Stack, browser: &Browser, sagas: &[SagaId]) -> Result<()> {
    stack.restart("shipping").await?;
    for saga in sagas {
        let ended = stack.wait_saga(*saga, "compensated").await?;
        ensure!(ended["cause"]["cause"] == "cancelled", "{}", ended["cause"]);
    }
    browser.visit("#/audit").await?;
    browser.shows("td", "a wrong price").await
}
