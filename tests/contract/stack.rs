//! Everything that a running stack sends, in all the ways in which an order can go.

use crate::document::{Document, Sent};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use testkit::{PATIENCE, Stack, With, eventually};

const TAP: &str = "contract.tap";

/// What the orders below lead to, each of it.
const WANTED: [&str; 23] = [
    "saga.start",
    "order.open",
    "order.cancel",
    "order.confirm",
    "inventory.reserve-stock",
    "inventory.release-stock",
    "payment.authorise",
    "payment.void",
    "payment.capture",
    "shipping.book",
    "shipping.cancel",
    "notification.notify-customer",
    "done",
    "payment.authorise.done",
    "shipping.book.done",
    "inventory.reserve-stock.refused",
    "payment.refused",
    "shipping.book.refused",
    "faulted",
    "order.created",
    "order.confirmed",
    "order.cancelled",
    "dead-letter",
];

#[tokio::test]
async fn everything_that_is_sent_is_in_the_document() -> Result<()> {
    let document = Document::read()?;
    let options = [
        With::Env("orchestrator", "SAGA_STEP_ATTEMPTS", "1"),
        With::Env("shipping", "WORKER_RETRIES", "0"),
    ];
    let mut stack = Stack::start(&options).await?;
    let mut bindings = vec![
        ("saga.commands", "orchestrator.starts"),
        ("saga.replies", "orchestrator.replies"),
        ("saga.replies", "orchestrator.replies.packed"),
        ("saga.events", "#"),
    ];
    let keys = ["order", "inventory", "payment", "shipping", "notification"].map(|name| {
        let tier = |tier: &str| format!("{name}.retry.{tier}");
        let commands = [format!("{name}.commands"), format!("{name}.commands.packed")];
        (commands, [tier("1s"), tier("5s")], format!("{name}.dead-letters"))
    });
    for (commands, tiers, letters) in &keys {
        let keys = commands.iter().chain(tiers);
        bindings.extend(keys.map(|key| ("saga.commands", key.as_str())));
        bindings.push(("saga.dead-letters", letters));
    }
    stack.vhost().tap(TAP, &bindings).await?;
    let seen = orders(&mut stack).await;
    let seen = stack.explain(seen).await?;
    let mut found = BTreeSet::new();
    for message in &seen {
        found.extend(document.recognise_each(&sent(message)?)?);
    }
    let missing: Vec<_> = WANTED.iter().filter(|name| !found.contains(**name)).collect();
    ensure!(missing.is_empty(), "never sent: {missing:?}; sent: {found:?}");
    stack.assert_conserved().await
}

/// Every message of orders that complete, are refused at each place where they may be, are
/// cancelled, and find the gateway and the carrier away.
async fn orders(stack: &mut Stack) -> Result<Vec<Value>> {
    let order = |product: &str, country: &str| {
        json!({
            "customer_id": "cust_123",
            "items": [{ "product_id": product, "quantity": 1 }],
            "ship_to": { "country": country },
        })
    };
    let mut ends = vec![
        (stack.order_paid_with("card_ok", 1).await?, "completed"),
        (stack.order_paid_with("card_declined", 1).await?, "compensated"),
        (stack.order_paid_with("card_capture_fails", 1).await?, "compensated"),
        (stack.order(order("prod_001", "XX")).await?, "compensated"),
        (stack.order(order("prod_024", "DE")).await?, "compensated"),
    ];
    for (id, state) in ends.drain(..) {
        stack.wait_saga(id, state).await?;
    }
    // Without retries the answer is soon that it could not be done.
    stack.set_fault(json!({ "target": "carrier", "mode": "down" })).await?;
    let given_up = stack.order(order("prod_001", "DE")).await?;
    stack.wait_until(given_up, "it to go back", |saga| saga["state"] != "running").await?;
    stack.set_fault(json!({ "target": "carrier", "mode": "ok" })).await?;
    let saga = stack
        .wait_until(given_up, "it to end or to be parked", |saga| {
            saga["state"] == "compensated" || !saga["parked"].is_null()
        })
        .await?;
    if saga["state"] != "compensated" {
        let path = format!("/api/v1/sagas/{given_up}/resume");
        let request = stack.request(reqwest::Method::POST, "orchestrator", &path)?;
        request.json(&json!({ "reason": "the carrier is back" })).send().await?;
        stack.wait_saga(given_up, "compensated").await?;
    }
    let mut seen = Vec::new();
    eventually(PATIENCE, "the last messages", async || {
        let more = stack.vhost().take(TAP, 1_000).await?;
        seen.extend(more);
        let is = |message: &&Value| message["properties"]["type"] == "order.cancelled";
        let cancelled = seen.iter().filter(is).count();
        ensure!(cancelled >= 5, "{} messages, {cancelled} cancelled orders", seen.len());
        Ok(())
    })
    .await?;
    Ok(seen)
}

/// As the management API shows it.
fn sent(message: &Value) -> Result<Sent> {
    let text = |name: &str| message[name].as_str().map(str::to_owned).context("no text");
    let mut properties = message["properties"].clone();
    let headers = properties["headers"].take();
    properties.as_object_mut().context("no properties")?.remove("headers");
    let payload = text("payload")?;
    Ok(Sent {
        exchange: text("exchange")?,
        key: text("routing_key")?,
        properties,
        headers,
        body: serde_json::from_str(&payload).unwrap_or(Value::String(payload)),
    })
}
