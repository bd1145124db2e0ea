//! Withdrawing an order, before and after its saga has opened it.
#![allow(clippy::unwrap_used)]

mod support;

use reqwest::StatusCode;
use serde_json::{Value, json};
use support::{Service, orchestrator, start};

async fn submitted(service: &Service) -> String {
    let body = json!({ "customer_id": "cust_123", "items": [{ "product_id": "prod_007", "quantity": 2 }] });
    let receipt = service.accepted(&body, None).await;
    format!("/api/v1/orders/{}", receipt["order_id"].as_str().unwrap())
}

async fn set(service: &Service, change: &'static str) {
    sqlx::query(change).execute(&service.pool).await.unwrap();
}

const OPENED: &str = "UPDATE orders SET opened_at = now()";
const CONFIRMED: &str = "UPDATE orders SET opened_at = now(), status = 'confirmed'";

#[tokio::test]
async fn before_it_is_opened_an_order_is_cancelled_at_once_and_told_of() {
    let service = start().await;
    let path = submitted(&service).await;
    let answer = service.delete(&path).await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    let order: Value = answer.json().await.unwrap();
    assert_eq!(order["status"], "cancelled");
    assert_eq!(order["cause"], "cancelled");
    assert_eq!(order["reason"], "cancelled by the customer");
    let messages = service.outbox().await;
    assert_eq!(messages[2]["key"], "order.cancelled");

    let again = service.delete(&path).await;
    assert_eq!(again.status(), StatusCode::OK);
    assert_eq!(again.json::<Value>().await.unwrap()["status"], "cancelled");
    assert_eq!(service.count("outbox").await, 3);
}

#[tokio::test]
async fn a_confirmed_order_cannot_be_withdrawn() {
    let service = start().await;
    let path = submitted(&service).await;
    set(&service, CONFIRMED).await;
    let answer = service.delete(&path).await;
    assert_eq!(answer.status(), StatusCode::CONFLICT);
    let problem: Value = answer.json().await.unwrap();
    assert!(problem["detail"].as_str().unwrap().contains("confirmed"), "{problem}");
}

#[tokio::test]
async fn an_opened_order_is_withdrawn_by_the_orchestrator() {
    let asked = orchestrator(StatusCode::ACCEPTED, json!({})).await;
    let service = Service::with_orchestrator(&asked.url).await;
    let path = submitted(&service).await;
    set(&service, OPENED).await;
    let answer = service.delete(&path).await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    assert_eq!(answer.json::<Value>().await.unwrap()["status"], "pending");
    let id = path.rsplit('/').next().unwrap().to_owned();
    let requests = asked.requests.lock().unwrap().clone();
    assert_eq!(requests, [(id, json!({ "reason": "cancelled by the customer" }))]);
    assert_eq!(service.count("outbox").await, 2);
}

#[tokio::test]
async fn the_orchestrators_no_is_passed_on_in_its_words() {
    let asked = orchestrator(StatusCode::CONFLICT, json!({ "detail": "past the pivot" })).await;
    let service = Service::with_orchestrator(&asked.url).await;
    let path = submitted(&service).await;
    set(&service, OPENED).await;
    let answer = service.delete(&path).await;
    assert_eq!(answer.status(), StatusCode::CONFLICT);
    assert_eq!(answer.json::<Value>().await.unwrap()["detail"], "past the pivot");
}

#[tokio::test]
async fn an_orchestrator_that_is_away_or_does_not_know_the_saga_yet_means_later() {
    let unknowing = orchestrator(StatusCode::NOT_FOUND, json!({})).await;
    // Port 9 is nobody's.
    for url in [unknowing.url.as_str(), "http://127.0.0.1:9"] {
        let service = Service::with_orchestrator(url).await;
        let path = submitted(&service).await;
        set(&service, OPENED).await;
        let answer = service.delete(&path).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{url}");
        assert!(answer.headers().contains_key("retry-after"));
    }
}
