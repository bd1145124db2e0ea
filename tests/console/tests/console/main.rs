//! What an operator is promised of the console, in a real browser on the whole system.

mod groups;
mod keyboard;
mod letters;
mod list;
mod live;
mod pages;
mod policy;
mod stuck;
mod wire;

use anyhow::{Context, Result, ensure};
use console_tests::{Browser, Excuse};
use contracts::SagaId;
use serde_json::Value;
use testkit::{PATIENCE, Stack, With, eventually};

/// Opens the console of a stack of its own; afterwards the browser must not have complained of
/// anything: no error of a script, no violation of the content policy, no refused request.
async fn with_console(
    options: &[With],
    promise: impl AsyncFnOnce(&mut Stack, &Browser) -> Result<()>,
) -> Result<()> {
    with_excuses(options, &[], promise).await
}

/// The same for what brings about complaints of its own.
async fn with_excuses(
    options: &[With],
    excuses: &[Excuse],
    promise: impl AsyncFnOnce(&mut Stack, &Browser) -> Result<()>,
) -> Result<()> {
    let mut stack = Stack::start(options).await?;
    let browser = Browser::open(stack.url("orchestrator", "")?).await?;
    let kept = promise(&mut stack, &browser).await;
    stack.explain(kept).await?;
    let mut complaints = browser.complaints().await?;
    complaints.retain(|line| !excuses.iter().any(|excuse| excuse.covers(line)));
    ensure!(complaints.is_empty(), "the browser complains: {complaints:#?}");
    browser.close().await
}

/// An order that cannot go on before shipping is started again.
async fn waiting_for_shipping(stack: &mut Stack) -> Result<SagaId> {
    if stack.is_running("shipping")? {
        stack.stop("shipping").await?;
    }
    let saga = stack.order_paid_with("card_ok", 1).await?;
    let asked = |saga: &Value| saga["waits"][0]["step"] == "book-shipment";
    stack.wait_until(saga, "shipping to be asked", asked).await?;
    Ok(saga)
}

async fn collected(stack: &Stack, count: usize) -> Result<Vec<String>> {
    eventually(PATIENCE, "the dead letters to be collected", async || {
        let letters = stack.get("orchestrator", "/api/v1/dead-letters").await?;
        let letters = letters["items"].as_array().context("no list")?;
        ensure!(letters.len() == count, "there are {}", letters.len());
        let id = |letter: &Value| letter["dead_letter_id"].as_str().map(str::to_owned);
        letters.iter().map(|letter| id(letter).context("no id")).collect()
    })
    .await
}

async fn first_letter(stack: &Stack) -> Result<String> {
    collected(stack, 1).await?.pop().context("there is none")
}

/// The dialogue that a button has opened, up to what it says it would do.
async fn preview(browser: &Browser, title: &str, reason: &str, preview: &str) -> Result<()> {
    browser.shows("dialog h2", title).await?;
    browser.keys(reason).await?;
    browser.click("dialog .primary", "Show what it would do").await?;
    browser.shows("dialog .preview", preview).await
}

/// The dialogue of a verb from its button to its end.
async fn act(browser: &Browser, verb: &str, told: &str) -> Result<()> {
    browser.click(".verbs button", verb).await?;
    preview(browser, verb, "seen to", told).await?;
    browser.click("dialog .primary", verb).await?;
    browser.lacks("dialog").await
}
