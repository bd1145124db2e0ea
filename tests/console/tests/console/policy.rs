//! Nothing but the console's own scripts ever runs in it.

use crate::with_console;
use anyhow::{Context, Result, ensure};
use console_tests::Browser;
use reqwest::Method;
use serde_json::json;
use testkit::{Stack, With};

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
async fn a_script_that_gets_into_the_page_does_not_run_and_is_complained_of() -> Result<()> {
    let stack = Stack::start(&[With::Only(&["orchestrator"])]).await?;
    let browser = Browser::open(stack.url("orchestrator", "")?).await?;
    browser.visit("#/definitions").await?;
    browser.shows("h1", "Definitions").await?;
    let calm = browser.complaints().await?;
    ensure!(calm.is_empty(), "before: {calm:?}");
    let planted = "const script = document.createElement('script');
        script.textContent = 'window.taken = 1';
        document.body.append(script);
        return typeof window.taken";
    let taken = browser.script(planted, vec![]).await?;
    ensure!(taken == json!("undefined"), "it ran: {taken}");
    let complaints = browser.complaints().await?;
    let violation = complaints.iter().any(|line| line.contains("Content Security Policy"));
    ensure!(violation, "nobody complains: {complaints:?}");
    browser.close().await
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
        // Also where it is looked for.
        browser.visit("#/sagas?text=%3Cscript%3Ewindow.taken%3D1").await?;
        let id = saga.to_string();
        browser.shows("td", &id[id.len() - 6..]).await?;
        let told = browser.script(unfold, vec![]).await?;
        ensure!(told == json!(["undefined", 0]), "it became markup: {told}");
        Ok(())
    })
    .await
}
