//! Dead letters by what went wrong.

use crate::{collected, preview, waiting_for_shipping, wire::Wire, with_console};
use anyhow::{Result, ensure};
use serde_json::json;

#[tokio::test]
async fn a_group_is_replayed_after_its_preview_and_what_nobody_waits_for_is_not() -> Result<()> {
    with_console(&[], async |stack, browser| {
        let (first, second) =
            (waiting_for_shipping(stack).await?, waiting_for_shipping(stack).await?);
        let cancelled = waiting_for_shipping(stack).await?;
        Wire::to(stack)?.bury_next("shipping", 3).await?;
        let path = format!("/api/v1/sagas/{cancelled}/cancel");
        let cancel = stack.request(reqwest::Method::POST, "orchestrator", &path)?;
        let cancel = cancel.json(&json!({ "reason": "not wanted any more" })).send().await?;
        ensure!(cancel.status() == 202, "{}", cancel.status());
        stack.restart("shipping").await?;
        stack.wait_saga(cancelled, "compensated").await?;
        collected(stack, 3).await?;

        browser.visit("#/dead-letters").await?;
        browser.shows("td", "shipping.book").await?;
        browser.click(".acts button", "Replay…").await?;
        let told = "3 letters found: 2 would be sent again; 1 refused as stale";
        preview(browser, "Replay all open", "the carrier is back", told).await?;
        for saga in [first, second] {
            let saga = stack.saga(saga).await?;
            ensure!(saga["state"] == "running", "the preview acted: {saga}");
        }
        browser.click("dialog .primary", "Replay all").await?;
        browser.shows("dialog .preview", "2 replayed, 1 refused, 0 died again").await?;
        stack.wait_saga(first, "completed").await?;
        stack.wait_saga(second, "completed").await?;
        browser.click("dialog button", "Close").await?;
        browser.lacks("dialog").await?;
        browser.shows(".acts button[disabled]", "Replay…").await?;
        browser.visit("#/audit").await?;
        browser.shows("td", "the carrier is back").await
    })
    .await
}

#[tokio::test]
async fn a_group_is_discarded_after_its_preview_and_stays_in_the_list_as_such() -> Result<()> {
    with_console(&[], async |stack, browser| {
        let wire = Wire::to(stack)?;
        wire.send_unreadable().await?;
        wire.send_unreadable().await?;
        let letters = collected(stack, 2).await?;
        browser.visit("#/dead-letters").await?;
        browser.shows("td", "payment.authorise").await?;
        browser.click(".acts button", "Discard…").await?;
        preview(browser, "Discard all open", "a test's", "2 letters found: 2 would be discarded")
            .await?;
        let path = format!("/api/v1/dead-letters/{}", letters[0]);
        let untouched = stack.get("orchestrator", &path).await?;
        ensure!(untouched["state"] == "open", "the preview acted: {untouched}");
        browser.click("dialog .primary", "Discard all").await?;
        browser.shows("dialog .preview", "2 letters found: 2 were discarded").await?;
        browser.click("dialog button", "Close").await?;
        browser.shows(&format!("tr[data-key='{}'] td", letters[0]), "discarded").await?;
        browser.shows(&format!("tr[data-key='{}'] td", letters[1]), "discarded").await?;
        browser.visit("#/").await?;
        browser.shows(".sentence", "nothing lies dead").await
    })
    .await
}
