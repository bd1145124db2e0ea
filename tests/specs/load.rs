//! Orders by the dozen.

use anyhow::{Context, Result, bail, ensure};
use contracts::SagaId;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::{PATIENCE, Stack, eventually};
use uuid::Uuid;

/// The `n`-th of a mix in which every fourth order is refused by somebody.
pub fn order(n: usize) -> Value {
    let (method, country) = match n % 16 {
        3 => ("card_declined", "DE"),
        7 => ("card_ok", "XX"),
        11 => ("card_capture_fails", "DE"),
        15 => ("card_unknown", "DE"),
        _ => ("card_ok", "DE"),
    };
    json!({
        "customer_id": format!("cust_{n}"),
        "items": [{ "product_id": "prod_001", "quantity": 1 + n % 3 },
                  { "product_id": format!("prod_{:03}", 2 + n % 20), "quantity": 1 }],
        "payment_method": method,
        "ship_to": { "country": country },
    })
}

/// So many of the mix, each accepted.
pub async fn submit(stack: &Stack, count: usize) -> Result<Vec<SagaId>> {
    let mut accepted = Vec::with_capacity(count);
    for n in 0..count {
        accepted.push(stack.order(order(n)).await?);
    }
    Ok(accepted)
}

/// As a client does that wants its order taken whatever happens: the same request under the same
/// key, until it is accepted.
pub async fn insist(stack: &Stack, n: usize) -> Result<SagaId> {
    let key = Uuid::new_v4().to_string();
    eventually(PATIENCE, "the order to be taken", async || {
        let request = stack.request(Method::POST, "order", "/api/v1/orders")?;
        let answer = request.header("idempotency-key", &key).json(&order(n)).send().await?;
        let (status, body) = (answer.status(), answer.text().await?);
        ensure!(status == StatusCode::ACCEPTED, "{status}: {body}");
        let body: Value = serde_json::from_str(&body)?;
        let Some(id) = body["order_id"].as_str() else { bail!("no order_id: {body}") };
        id.parse().context("no id")
    })
    .await
}

/// Until every order has ended.
pub async fn end(stack: &Stack, orders: &[SagaId]) -> Result<()> {
    for id in orders {
        stack.wait_until(*id, "the saga to end", |saga| !saga["ended_at"].is_null()).await?;
    }
    Ok(())
}

/// No participant and no orchestrator has given a message up.
pub async fn nothing_was_given_up(stack: &Stack) -> Result<()> {
    for owner in ["orchestrator", "order", "inventory", "payment", "notification", "shipping"] {
        let dead = stack.metric(owner, "dead_letters_total", &[]).await?;
        ensure!(dead == 0.0, "{owner} has {dead} dead letters");
    }
    Ok(())
}
