//! The console without a mouse.

use crate::{waiting_for_shipping, with_console};
use anyhow::{Result, ensure};
use console_tests::Browser;
use fantoccini::key::Key;
use serde_json::json;

#[tokio::test]
async fn by_keyboard_alone_a_saga_is_found_and_cancelled_once_its_preview_was_seen() -> Result<()> {
    with_console(&[], async |stack, browser| {
        let saga = waiting_for_shipping(stack).await?;
        browser.visit("#/").await?;
        browser.shows("h1", "Overview").await?;
        browser.keys("/").await?;
        browser.keys(&saga.to_string()).await?;
        browser.key(Key::Enter).await?;
        browser.shows(".verbs button", "Cancel…").await?;

        browser.tab_to("Cancel…").await?;
        browser.key(Key::Enter).await?;
        browser.shows("dialog h2", "Cancel").await?;
        browser.keys("the customer called").await?;
        browser.key(Key::Escape).await?;
        browser.lacks("dialog").await?;
        let back = browser.focused().await?.text().await?;
        ensure!(back.starts_with("Cancel…"), "the focus is on {back:?}");

        browser.key(Key::Enter).await?;
        browser.shows("dialog h2", "Cancel").await?;
        browser.keys("the customer called").await?;
        browser.tab_to("Show what it would do").await?;
        browser.key(Key::Enter).await?;
        browser.shows("dialog .preview", "shipping.cancel").await?;
        let untouched = stack.saga(saga).await?;
        ensure!(untouched["state"] == "running", "the preview acted: {untouched}");
        browser.shows("dialog .primary", "Cancel the saga").await?;
        browser.key(Key::Enter).await?;
        browser.lacks("dialog").await?;
        browser.shows("h1 ~ .state, h1 ~ .states", "compensating").await?;

        stack.restart("shipping").await?;
        browser.shows("h1 ~ .state, h1 ~ .states", "compensated").await?;
        let ended = stack.wait_saga(saga, "compensated").await?;
        ensure!(ended["cause"]["cause"] == "cancelled", "{}", ended["cause"]);
        browser.visit("#/audit").await?;
        browser.shows("td", "the customer called").await
    })
    .await
}

#[tokio::test]
async fn by_keyboard_alone_a_list_is_filtered_and_the_focus_stays_where_it_is() -> Result<()> {
    with_console(&[], async |stack, browser| {
        let undone = stack.order_paid_with("card_declined", 1).await?;
        stack.wait_saga(undone, "compensated").await?;
        let done = stack.order_paid_with("card_ok", 1).await?;
        stack.wait_saga(done, "completed").await?;
        let row = |saga| format!("tr[data-key='{saga}'] td");
        browser.visit("#/sagas").await?;
        browser.shows(&row(undone), "card-declined").await?;
        browser.tab_until("select[name=state]").await?;
        for state in ["running", "compensating", "completed"] {
            browser.key(Key::Down).await?;
            reaches(browser, &format!("/sagas?state={state}")).await?;
        }
        browser.shows(&row(done), "completed").await?;
        browser.lacks(&row(undone)).await?;
        ensure!(browser.has_focus("select[name=state]").await?, "the focus went elsewhere");

        browser.tab_until(".filters input[name=text]").await?;
        browser.keys(&undone.to_string()).await?;
        browser.key(Key::Enter).await?;
        browser.shows(".empty", "No saga is like that").await?;
        browser.lacks(&row(done)).await?;
        browser.back().await?;
        browser.shows(&row(done), "completed").await?;
        let text = "return document.querySelector('.filters [name=text]').value";
        let text = browser.script(text, vec![]).await?;
        ensure!(text == json!(""), "the field says {text}, the address does not");
        browser.tab_to("Clear").await?;
        browser.key(Key::Enter).await?;
        browser.shows(&row(undone), "card-declined").await?;
        let state = "return document.querySelector('.filters [name=state]').value";
        let state = browser.script(state, vec![]).await?;
        ensure!(state == json!(""), "the choice says {state}, the address does not");
        Ok(())
    })
    .await
}

async fn reaches(browser: &Browser, address: &str) -> Result<()> {
    browser.holds(&format!("location.hash === '#{address}'")).await
}
