//! The same request, more than once.

use crate::on_stack;
use anyhow::{Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::Stack;
use tokio::task::JoinSet;

#[tokio::test]
async fn the_same_key_is_the_same_order_and_with_another_body_it_is_refused() -> Result<()> {
    on_stack(&[], async |stack| {
        let first = submit(stack, "key-1", &order(1))?.await?;
        let again = submit(stack, "key-1", &order(1))?.await?;
        ensure!(first.0 == 202 && again == first, "{first:?}, then {again:?}");
        // The order of members and what is left to its default do not make another body.
        let reordered = r#"{"payment_method": "card_ok", "items": [{"quantity": 1,
            "product_id": "prod_001"}], "customer_id": "cust_123"}"#;
        let spelt = submit(stack, "key-1", &serde_json::from_str(reordered)?)?.await?;
        ensure!(spelt == first, "{first:?}, then {spelt:?}");
        let other = submit(stack, "key-1", &order(2))?.await?;
        ensure!(other.0 == 422, "{other:?}");
        let problem: Value = serde_json::from_str(&other.2)?;
        ensure!(problem["errors"][0]["field"] == "Idempotency-Key", "{problem}");

        let mut at_once = JoinSet::new();
        for _ in 0..20 {
            at_once.spawn(submit(stack, "key-2", &order(3))?);
        }
        let mut answers = Vec::new();
        while let Some(answer) = at_once.join_next().await {
            // Those that waited too long for the first are put off, and ask again.
            match answer?? {
                (503, ..) => drop(at_once.spawn(submit(stack, "key-2", &order(3))?)),
                answer => answers.push(answer),
            }
        }
        let one = &answers[0];
        ensure!(one.0 == 202 && answers.iter().all(|answer| answer == one), "{answers:?}");
        let orders = stack.list("order", "/api/v1/orders").await?;
        ensure!(orders.len() == 2, "{} orders", orders.len());
        stack.assert_conserved().await?;
        let sagas = stack.list("orchestrator", "/api/v1/sagas").await?;
        ensure!(sagas.len() == 2, "{} sagas", sagas.len());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_key_is_remembered_by_an_order_service_that_was_killed() -> Result<()> {
    on_stack(&[], async |stack| {
        let first = submit(stack, "key-1", &order(1))?.await?;
        stack.kill9("order").await?;
        stack.restart("order").await?;
        let again = submit(stack, "key-1", &order(1))?.await?;
        ensure!(first.0 == 202 && again == first, "{first:?}, then {again:?}");
        Ok(())
    })
    .await
}

fn order(quantity: u32) -> Value {
    json!({
        "customer_id": "cust_123",
        "items": [{ "product_id": "prod_001", "quantity": quantity }],
    })
}

/// Status, `Location` and body of the answer.
fn submit(
    stack: &Stack,
    key: &str,
    order: &Value,
) -> Result<impl Future<Output = Result<(u16, String, String)>> + Send + 'static> {
    let request = stack.request(Method::POST, "order", "/api/v1/orders")?;
    let request = request.header("Idempotency-Key", key).json(order);
    Ok(async move {
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        let location = answer.headers().get("location").map(|location| location.to_str());
        let location = location.transpose()?.unwrap_or_default().to_owned();
        Ok((status, location, answer.text().await?))
    })
}
