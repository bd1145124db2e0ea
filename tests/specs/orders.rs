//! Orders when nothing is broken.

use crate::on_stack;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::{PATIENCE, Stack, With, eventually};

#[tokio::test]
async fn an_order_passes_every_service_and_each_of_them_shows_it() -> Result<()> {
    on_stack(&[], async |stack| {
        let id = stack.order_paid_with("card_ok", 2).await?;
        let saga = stack.wait_saga(id, "completed").await?;
        let order = stack.wait_order(id, "confirmed").await?;
        for step in steps(&saga) {
            ensure!(step["status"] == "done" && step["attempts"] == 1, "{step}");
        }
        ensure!(order["total"] == json!({ "amount": 2580, "currency": "EUR" }), "{order}");
        ensure!(order["tracking"].is_string(), "{order}");
        let product = stack.get("inventory", "/api/v1/products/prod_001").await?;
        let stock = [&product["free"], &product["reserved"], &product["shipped"]];
        ensure!(stock == [&json!(11_998), &json!(0), &json!(2)], "{product}");
        let told = stack.list("notification", "/api/v1/notifications").await?;
        ensure!(!told.is_empty(), "nobody was told");
        for notification in &told {
            let about = notification["order_id"].as_str() == Some(&id.to_string());
            ensure!(about && notification["status"] == "sent", "{notification}");
        }
        let counted = counted(stack, 1).await?;
        ensure!(counted["orders"]["confirmed"] == 1, "{counted}");
        ensure!(counted["revenue"] == json!([{ "amount": 2580, "currency": "EUR" }]), "{counted}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_order_that_anybody_refuses_is_undone_with_the_reason() -> Result<()> {
    on_stack(&[], async |stack| {
        let order = |product: &str, quantity: u32, method: &str, country: &str| {
            json!({
                "customer_id": "cust_123",
                "items": [{ "product_id": "prod_002", "quantity": 1 },
                          { "product_id": product, "quantity": quantity }],
                "payment_method": method,
                "ship_to": { "country": country },
            })
        };
        let refused = [
            ("reserve-stock", order("prod_023", 4, "card_ok", "DE"), 1),
            ("authorise-payment", order("prod_001", 1, "card_declined", "DE"), 2),
            ("book-shipment", order("prod_001", 1, "card_ok", "XX"), 3),
            ("capture-payment", order("prod_001", 1, "card_capture_fails", "DE"), 4),
        ];
        for (refuser, order, undone) in refused {
            let id = stack.order(order).await?;
            let saga = stack.wait_saga(id, "compensated").await?;
            ensure!(saga["cause"]["cause"] == "refused", "{}", saga["cause"]);
            ensure!(saga["cause"]["step"] == refuser, "{}", saga["cause"]);
            let words: Vec<_> = steps(&saga).map(|step| step["status"].clone()).collect();
            let mut expected = vec!["compensated"; undone];
            expected.push("refused");
            expected.resize(7, "pending");
            ensure!(words == expected, "{refuser}: {words:?}");
            let order = stack.wait_order(id, "cancelled").await?;
            let reason = order["reason"].as_str().context("no reason")?;
            ensure!(reason.contains(refuser) && order["cause"] == refuser, "{order}");
        }
        let told = stack.list("notification", "/api/v1/notifications").await?;
        ensure!(told.is_empty(), "somebody was told of a parcel: {told:?}");
        let counted = counted(stack, 4).await?;
        ensure!(
            counted["orders"]["cancelled"] == 4 && counted["revenue"] == json!([]),
            "{counted}"
        );
        let causes = counted["failures"].as_array().map_or(0, Vec::len);
        ensure!(causes == 4, "{counted}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_gateway_that_fails_or_keeps_silent_for_a_while_takes_the_money_once() -> Result<()> {
    on_stack(&[With::Env("payment", "GATEWAY_TIMEOUT_MS", "400")], async |stack| {
        let flaky = stack.order_paid_with("card_flaky", 1).await?;
        let silent = stack.order_paid_with("card_timeout", 1).await?;
        for id in [flaky, silent] {
            stack.wait_order(id, "confirmed").await?;
        }
        Ok(())
    })
    .await
}

fn steps(saga: &Value) -> impl Iterator<Item = &Value> {
    saga["steps"].as_array().into_iter().flatten()
}

/// What analytics has made of the events, once it has heard the end of so many orders.
async fn counted(stack: &Stack, ended: u64) -> Result<Value> {
    eventually(PATIENCE, "analytics to have heard of every order", async || {
        let counted = stack.get("analytics", "/api/v1/analytics").await?;
        let orders = &counted["orders"];
        ensure!(orders["created"] == ended && orders["pending"] == 0, "{counted}");
        Ok(counted)
    })
    .await
}
