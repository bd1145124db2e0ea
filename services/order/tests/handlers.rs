//! The order as a participant of its own saga, on a real database.
#![allow(clippy::unwrap_used)]

mod support;

use contracts::{
    Outcome, SagaId,
    order::{CancelOrder, ConfirmOrder, OpenOrder, OrderNotOpen},
};
use order::Orders;
use reqwest::StatusCode;
use serde_json::{Value, json};
use support::{Service, start};
use uuid::Uuid;
use worker::testing::Bench;

struct Given {
    service: Service,
    bench: Bench<Orders>,
    order: SagaId,
}

async fn given_a_submitted_order() -> Given {
    let service = start().await;
    let body = json!({ "customer_id": "cust_123", "items": [{ "product_id": "prod_007", "quantity": 2 }] });
    let receipt = service.accepted(&body, None).await;
    let order = receipt["order_id"].as_str().unwrap().parse().unwrap();
    let bench = Bench::of(order::worker(), service.pool.clone());
    Given { service, bench, order }
}

impl Given {
    async fn shown(&self) -> Value {
        let path = format!("/api/v1/orders/{}", self.order);
        self.service.get(&path).await.json().await.unwrap()
    }

    fn cancellation(&self) -> CancelOrder {
        CancelOrder {
            order: self.order,
            reason: "authorise-payment refused: payment declined: card-declined".to_owned(),
            cause: "authorise-payment".to_owned(),
        }
    }
}

const OPEN: &str = "open-order";
const CONFIRM: &str = "confirm-order";

#[tokio::test]
async fn a_submitted_order_is_opened_and_stays_pending() {
    let given = given_a_submitted_order().await;
    let command = OpenOrder { order: given.order };
    let opened = given.bench.act(given.order, OPEN, &command).await.unwrap();
    assert_eq!(opened.outcome, Outcome::Done);
    let order = given.shown().await;
    assert_eq!(order["status"], "pending");
    assert!(order["opened_at"].is_string());
}

#[tokio::test]
async fn an_order_that_is_not_there_is_refused() {
    let given = given_a_submitted_order().await;
    let order = SagaId(Uuid::now_v7());
    let opened = given.bench.act(order, OPEN, &OpenOrder { order }).await.unwrap();
    assert_eq!(opened.outcome, Outcome::Refused);
    let refusal: OrderNotOpen = serde_json::from_str(&opened.body).unwrap();
    assert_eq!(refusal, OrderNotOpen { status: "unknown".to_owned() });
}

#[tokio::test]
async fn an_order_withdrawn_before_is_refused() {
    let given = given_a_submitted_order().await;
    given.service.delete(&format!("/api/v1/orders/{}", given.order)).await;
    let command = OpenOrder { order: given.order };
    let opened = given.bench.act(given.order, OPEN, &command).await.unwrap();
    assert_eq!(opened.outcome, Outcome::Refused);
    let refusal: OrderNotOpen = serde_json::from_str(&opened.body).unwrap();
    assert_eq!(refusal.to_string(), "the order is cancelled");
}

#[tokio::test]
async fn cancelling_says_why_and_tells_it_once() {
    let given = given_a_submitted_order().await;
    given.bench.act(given.order, OPEN, &OpenOrder { order: given.order }).await.unwrap();
    let cancelled = given.bench.undo(given.order, OPEN, &given.cancellation()).await.unwrap();
    assert_eq!(cancelled.outcome, Outcome::Done);
    let told: Vec<_> = cancelled.events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(told, ["order.cancelled"]);
    assert_eq!(cancelled.events[0].body["cause"], "authorise-payment");
    let order = given.shown().await;
    assert_eq!(order["status"], "cancelled");
    assert_eq!(order["reason"], given.cancellation().reason);
    assert_eq!(order["cause"], "authorise-payment");

    let again = given.bench.undo(given.order, OPEN, &given.cancellation()).await.unwrap();
    assert!(again.duplicate);
    assert_eq!(again.events, cancelled.events);
}

#[tokio::test]
async fn a_cancellation_that_overtakes_the_opening_cancels_the_order_for_good() {
    let given = given_a_submitted_order().await;
    let cancelled = given.bench.undo(given.order, OPEN, &given.cancellation()).await.unwrap();
    assert_eq!(cancelled.outcome, Outcome::Done);
    assert_eq!(cancelled.events[0].kind, "order.cancelled");
    assert_eq!(given.shown().await["status"], "cancelled");

    let command = OpenOrder { order: given.order };
    let opened = given.bench.act(given.order, OPEN, &command).await.unwrap();
    assert_eq!(opened.outcome, Outcome::Refused);
    assert_eq!(given.shown().await["status"], "cancelled");
}

#[tokio::test]
async fn cancelling_an_order_that_is_not_there_is_done() {
    let given = given_a_submitted_order().await;
    let command = CancelOrder { order: SagaId(Uuid::now_v7()), ..given.cancellation() };
    let cancelled = given.bench.undo(command.order, OPEN, &command).await.unwrap();
    assert_eq!(cancelled.outcome, Outcome::Done);
    assert!(cancelled.events.is_empty());
}

#[tokio::test]
async fn confirming_shows_the_parcel_and_tells_it() {
    let given = given_a_submitted_order().await;
    given.bench.act(given.order, OPEN, &OpenOrder { order: given.order }).await.unwrap();
    let command = ConfirmOrder { order: given.order, tracking: Some("TRACK-1".to_owned()) };
    let confirmed = given.bench.act(given.order, CONFIRM, &command).await.unwrap();
    assert_eq!(confirmed.outcome, Outcome::Done);
    assert_eq!(confirmed.events[0].kind, "order.confirmed");
    assert_eq!(
        confirmed.events[0].body,
        json!({ "order": given.order, "customer_id": "cust_123",
                "lines": [{ "product_id": "prod_007", "quantity": 2 }],
                "total": { "amount": 1580, "currency": "EUR" } })
    );
    let order = given.shown().await;
    assert_eq!((&order["status"], &order["tracking"]), (&json!("confirmed"), &json!("TRACK-1")));

    // The same under another step's name, past the inbox: done, and not told again.
    let again = given.bench.act(given.order, "confirm-again", &command).await.unwrap();
    assert_eq!(again.outcome, Outcome::Done);
    assert!(again.events.is_empty());
}

#[tokio::test]
async fn an_ended_order_cannot_end_the_other_way() {
    let given = given_a_submitted_order().await;
    given.bench.act(given.order, OPEN, &OpenOrder { order: given.order }).await.unwrap();
    let confirm = ConfirmOrder { order: given.order, tracking: None };
    given.bench.act(given.order, CONFIRM, &confirm).await.unwrap();
    let fault = given.bench.undo(given.order, OPEN, &given.cancellation()).await.unwrap_err();
    assert!(!fault.is_transient(), "{fault}");
    assert_eq!(given.shown().await["status"], "confirmed");

    let other = given_a_submitted_order().await;
    other.service.delete(&format!("/api/v1/orders/{}", other.order)).await;
    let confirm = ConfirmOrder { order: other.order, tracking: None };
    other.bench.act(other.order, CONFIRM, &confirm).await.unwrap_err();
    assert_eq!(other.shown().await["status"], "cancelled");
}

#[tokio::test]
async fn an_order_is_withdrawn_or_opened_and_never_both() {
    for _ in 0..20 {
        let given = given_a_submitted_order().await;
        let (path, command) =
            (format!("/api/v1/orders/{}", given.order), OpenOrder { order: given.order });
        let (withdrawn, opened) =
            tokio::join!(given.service.delete(&path), given.bench.act(given.order, OPEN, &command));
        let order = given.shown().await;
        match opened.unwrap().outcome {
            Outcome::Done => {
                // Now it is the orchestrator's to undo, and there is none here.
                assert_eq!(withdrawn.status(), StatusCode::SERVICE_UNAVAILABLE);
                assert_eq!(order["status"], "pending");
            }
            _ => {
                assert_eq!(withdrawn.status(), StatusCode::ACCEPTED);
                assert_eq!(order["status"], "cancelled");
            }
        }
    }
}
