//! What happens while one looks.

use crate::{waiting_for_shipping, with_console, with_excuses};
use anyhow::{Result, ensure};
use console_tests::Excuse;
use serde_json::json;

#[tokio::test]
async fn what_happens_is_seen_without_asking_again() -> Result<()> {
    with_console(&[], async |stack, browser| {
        browser.visit("#/").await?;
        browser.shows("#pulse", "live").await?;
        let saga = waiting_for_shipping(stack).await?;
        let id = saga.to_string();
        browser.shows(".sentence", "1 saga in flight").await?;
        browser.shows("td", &id[id.len() - 6..]).await?;
        browser.visit(&format!("#/sagas/{id}")).await?;
        browser.shows("h1 ~ .state, h1 ~ .states", "running").await?;
        browser.shows("#pulse", "live").await?;
        stack.restart("shipping").await?;
        browser.shows("h1 ~ .state, h1 ~ .states", "completed").await?;
        browser.shows(".history", "notify-customer done").await?;
        browser.back().await?;
        browser.shows("h1", "Overview").await
    })
    .await
}

#[tokio::test]
async fn rows_of_the_list_change_where_they_stand_and_new_ones_wait_to_be_shown() -> Result<()> {
    with_console(&[], async |stack, browser| {
        let saga = waiting_for_shipping(stack).await?;
        browser.visit("#/sagas").await?;
        browser.shows("#pulse", "live").await?;
        let row = format!("tr[data-key='{saga}'] td");
        browser.shows(&row, "book-shipment").await?;
        // It reads the list once more when its stream is open; from then on it is told.
        let read = "performance.getEntriesByType('resource')
            .filter(({ name }) => name.includes('/api/v1/sagas?limit=50')).length >= 2";
        browser.holds(read).await?;
        let newer = stack.order_paid_with("card_ok", 1).await?;
        browser.shows(".news", "1 new saga").await?;
        browser.lacks(&format!("tr[data-key='{newer}']")).await?;
        stack.restart("shipping").await?;
        browser.shows(&row, "completed").await?;
        browser.click(".news", "1 new saga").await?;
        browser.shows(&format!("tr[data-key='{newer}'] td"), "completed").await
    })
    .await
}

/// A server that is gone refuses connections, and breaks off what it was sending. What it says on
/// its way down and up is "not now".
const GONE: [Excuse; 2] =
    [Excuse { path: "/api/v1/", says: "net::ERR_" }, Excuse { path: "/api/v1/", says: "503" }];

#[tokio::test]
async fn a_lost_server_is_shown_as_lost_and_the_page_comes_back_with_it() -> Result<()> {
    with_excuses(&[], &GONE, async |stack, browser| {
        browser.visit("#/").await?;
        browser.shows("h2", "Open sagas").await?;
        browser.shows("#pulse", "live").await?;
        browser.script("window.same = true", vec![]).await?;
        stack.stop("orchestrator").await?;
        browser.shows("#banner:not([hidden])", "does not answer").await?;
        browser.shows("#pulse.slow", "").await?;
        // What was drawn stays.
        browser.shows("h2", "Open sagas").await?;
        stack.restart("orchestrator").await?;
        browser.shows("#banner[hidden]", "").await?;
        browser.shows("#pulse.live", "live").await?;
        // And what happens is seen again, on the page as it was opened.
        let saga = waiting_for_shipping(stack).await?.to_string();
        browser.shows("td", &saga[saga.len() - 6..]).await?;
        let same = browser.script("return window.same === true", vec![]).await?;
        ensure!(same == json!(true), "the page was loaded anew");
        stack.restart("shipping").await
    })
    .await
}
