//! Every page, drawn on every screen.

use crate::{first_letter, preview, waiting_for_shipping, wire::Wire, with_console};
use anyhow::{Result, ensure};
use console_tests::{Browser, Look};

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
            (
                "sagas-found",
                "#/sagas?text=cust_123&open=true&older_than_seconds=60".to_owned(),
                "Sagas",
            ),
            ("dead-letters", "#/dead-letters".to_owned(), "Dead letters"),
            ("dead-letter", format!("#/dead-letters/{letter}"), "payment.authorise"),
            ("participants", "#/participants".to_owned(), "Participants"),
            ("definitions", "#/definitions".to_owned(), "Definitions"),
            ("definition", "#/definitions/place-order".to_owned(), "place-order"),
            ("audit", "#/audit".to_owned(), "Audit trail"),
        ];
        for look in [Look::LIGHT, Look::DARK, Look::PHONE, Look::PHONE_IN_THE_DARK] {
            browser.look(look).await?;
            for (name, fragment, heading) in &pages {
                browser.visit(fragment).await?;
                browser.shows("h1", heading).await?;
                fits(browser, &format!("{name}, {}", look.name)).await?;
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

/// Nothing is wider than the window or reaches over its edge, all can be read and has a name.
async fn fits(browser: &Browser, what: &str) -> Result<()> {
    let wider = browser.overflow().await?;
    ensure!(wider <= 0, "{what}: {wider} pixels too wide");
    let flaws = browser.flaws().await?;
    ensure!(flaws.is_empty(), "{what}: {flaws:#?}");
    Ok(())
}

#[tokio::test]
async fn on_a_phone_a_dialogue_fits_and_can_be_finished() -> Result<()> {
    with_console(&[], async |stack, browser| {
        let saga = waiting_for_shipping(stack).await?;
        browser.look(Look::PHONE).await?;
        browser.visit(&format!("#/sagas/{saga}")).await?;
        browser.click(".verbs button", "Cancel…").await?;
        preview(browser, "Cancel", "the customer called", "shipping.cancel").await?;
        fits(browser, "the dialogue").await?;
        browser.picture("dialogue", Look::PHONE).await?;
        browser.click("dialog .primary", "Cancel the saga").await?;
        browser.lacks("dialog").await?;
        stack.restart("shipping").await?;
        browser.shows("h1 ~ .state, h1 ~ .states", "compensated").await
    })
    .await
}
