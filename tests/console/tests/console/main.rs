//! What an operator is promised of the console, in a real browser on the whole system.

mod wire;

use anyhow::{Context, Result, ensure};
use console_tests::{Browser, Look};
use contracts::SagaId;
use fantoccini::key::Key;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{PATIENCE, Stack, With, eventually};
use wire::Wire;

/// Opens the console of a stack of its own; afterwards the browser must not have complained.
async fn with_console(
    options: &[With],
    promise: impl AsyncFnOnce(&mut Stack, &Browser) -> Result<()>,
) -> Result<()> {
    let mut stack = Stack::start(options).await?;
    let browser = Browser::open(stack.url("orchestrator", "")?).await?;
    let kept = promise(&mut stack, &browser).await;
    stack.explain(kept).await?;
    let mut complaints = browser.complaints().await?;
    // On a busy machine the orchestrator may say "not now"; the page says so, and asks again.
    complaints.retain(|line| !line.contains("503"));
    ensure!(complaints.is_empty(), "the browser complains: {complaints:#?}");
    browser.close().await
}

/// An order that cannot go on before shipping is started again.
async fn waiting_for_shipping(stack: &mut Stack) -> Result<SagaId> {
    stack.stop("shipping").await?;
    let saga = stack.order_paid_with("card_ok", 1).await?;
    let asked = |saga: &Value| saga["waits"][0]["step"] == "book-shipment";
    stack.wait_until(saga, "shipping to be asked", asked).await?;
    Ok(saga)
}

async fn first_letter(stack: &Stack) -> Result<String> {
    eventually(PATIENCE, "the dead letter to be collected", async || {
        let letters = stack.get("orchestrator", "/api/v1/dead-letters").await?;
        let id = letters["items"][0]["dead_letter_id"].as_str();
        id.map(str::to_owned).context("there is none")
    })
    .await
}

#[tokio::test]
async fn every_page_is_drawn_in_light_in_dark_and_on_a_phone() -> Result<()> {
    with_console(&[], async |stack, browser| {
        let completed = stack.order_paid_with("card_ok", 1).await?;
        stack.wait_saga(completed, "completed").await?;
        let undone = stack.order_paid_with("card_declined", 2).await?;
        stack.wait_saga(undone, "compensated").await?;
        let waiting = waiting_for_shipping(stack).await?;
        Wire::to(stack)?.send_unreadable().await?;
        let letter = first_letter(stack).await?;
        let pages = [
            ("overview", "#/".to_owned(), "Overview"),
            ("sagas", "#/sagas".to_owned(), "Sagas"),
            ("saga-completed", format!("#/sagas/{completed}"), "place-order"),
            ("saga-compensated", format!("#/sagas/{undone}"), "place-order"),
            ("saga-running", format!("#/sagas/{waiting}"), "place-order"),
            ("dead-letters", "#/dead-letters".to_owned(), "Dead letters"),
            ("dead-letter", format!("#/dead-letters/{letter}"), "payment.authorise"),
            ("participants", "#/participants".to_owned(), "Participants"),
            ("definitions", "#/definitions".to_owned(), "Definitions"),
            ("definition", "#/definitions/place-order".to_owned(), "place-order"),
            ("audit", "#/audit".to_owned(), "Audit trail"),
        ];
        for look in [Look::LIGHT, Look::DARK, Look::PHONE] {
            browser.look(look).await?;
            for (name, fragment, heading) in &pages {
                browser.visit(fragment).await?;
                browser.shows("h1", heading).await?;
                let wider = browser.overflow().await?;
                ensure!(wider <= 0, "{name}, {}: {wider} pixels too wide", look.name);
                browser.picture(name, look).await?;
            }
        }
        browser.visit("#/no-such-page").await?;
        browser.shows("h1", "Nothing here").await?;
        stack.restart("shipping").await?;
        stack.wait_saga(waiting, "completed").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_page_and_its_files_come_with_a_strict_policy_and_are_not_sent_twice() -> Result<()> {
    let stack = Stack::start(&[With::Only(&["orchestrator"])]).await?;
    for path in ["/", "/console/main.js", "/console/style.css"] {
        let answer = stack.request(Method::GET, "orchestrator", path)?.send().await?;
        ensure!(answer.status() == 200, "{path}: {}", answer.status());
        let header = |name: &str| answer.headers().get(name).and_then(|it| it.to_str().ok());
        let policy = header("content-security-policy").context("no policy")?;
        ensure!(policy.contains("default-src 'self'") && !policy.contains("unsafe"), "{policy}");
        ensure!(policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        ensure!(header("x-content-type-options") == Some("nosniff"), "{path} may be sniffed");
        let tag = header("etag").context("no etag")?.to_owned();
        let again = stack.request(Method::GET, "orchestrator", path)?.header("if-none-match", tag);
        let again = again.send().await?;
        ensure!(again.status() == 304, "{path}: {}", again.status());
    }
    Ok(())
}

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
async fn what_a_customer_writes_is_text_and_nothing_else() -> Result<()> {
    const NASTY: &str = "<script>window.taken=1</script><img src=x onerror=window.taken=1>";
    with_console(&[], async |stack, browser| {
        let saga = stack
            .order(json!({
                "customer_id": "cust_123",
                "items": [{ "product_id": "prod_001", "quantity": 1 }],
                "ship_to": { "country": "DE", "name": NASTY },
            }))
            .await?;
        stack.wait_saga(saga, "completed").await?;
        browser.visit(&format!("#/sagas/{saga}")).await?;
        browser.shows("details pre", NASTY).await?;
        let unfold = "document.querySelectorAll('details').forEach((one) => { one.open = true; });
            return [typeof window.taken, document.querySelectorAll('main script, main img').length]";
        let told = browser.script(unfold, vec![]).await?;
        ensure!(told == json!(["undefined", 0]), "it became markup: {told}");
        Ok(())
    })
    .await
}

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
async fn an_illegal_verb_is_shown_with_the_reason_and_does_nothing() -> Result<()> {
    with_console(&[], async |stack, browser| {
        let saga = stack.order_paid_with("card_ok", 1).await?;
        stack.wait_saga(saga, "completed").await?;
        browser.visit(&format!("#/sagas/{saga}")).await?;
        browser.shows(".verbs button[aria-disabled]", "Cancel…").await?;
        browser.shows(".verbs dd", "Not now").await?;
        browser.click(".verbs button", "Cancel…").await?;
        browser.lacks("dialog").await
    })
    .await
}

#[tokio::test]
async fn a_dead_letter_is_replayed_from_its_page_and_its_saga_goes_on() -> Result<()> {
    with_console(&[], async |stack, browser| {
        let saga = waiting_for_shipping(stack).await?;
        let wire = Wire::to(stack)?;
        wire.bury_next("shipping").await?;
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

/// The dialogue of a verb from its button to its end.
async fn act(browser: &Browser, verb: &str, preview: &str) -> Result<()> {
    browser.click(".verbs button", verb).await?;
    browser.shows("dialog h2", verb).await?;
    browser.keys("seen to").await?;
    browser.click("dialog button", "Show what it would do").await?;
    browser.shows("dialog .preview", preview).await?;
    browser.click("dialog button", verb).await?;
    browser.lacks("dialog").await
}

#[tokio::test]
async fn while_the_orchestrator_is_away_the_page_says_so_and_then_comes_back() -> Result<()> {
    let mut stack = Stack::start(&[]).await?;
    let browser = Browser::open(stack.url("orchestrator", "")?).await?;
    browser.visit("#/").await?;
    browser.shows("h2", "Open sagas").await?;
    stack.stop("orchestrator").await?;
    browser.shows("#banner:not([hidden])", "does not answer").await?;
    // What was drawn stays.
    browser.shows("h2", "Open sagas").await?;
    stack.restart("orchestrator").await?;
    browser.shows("#banner[hidden]", "").await?;
    browser.close().await
}
