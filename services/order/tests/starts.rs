//! Orders that wait for their sagas, and how often that is said.
#![allow(clippy::unwrap_used)]

mod support;

use order::starts::send_again;
use serde_json::json;
use sqlx::AssertSqlSafe;
use std::time::Duration;
use support::{Service, start};
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(30);

/// So many orders, oldest first, submitted ten minutes ago; nothing is in the outbox any more.
async fn given_orders_that_wait(service: &Service, count: usize) -> Vec<Uuid> {
    let mut orders = Vec::new();
    for _ in 0..count {
        let body = json!({ "customer_id": "cust_123", "items": [{ "product_id": "prod_007", "quantity": 2 }] });
        let receipt = service.accepted(&body, None).await;
        orders.push(receipt["order_id"].as_str().unwrap().parse().unwrap());
    }
    run(service, "UPDATE orders SET created_at = now() - interval '10 min'").await;
    run(service, "DELETE FROM outbox").await;
    orders
}

async fn run(service: &Service, statement: &str) {
    sqlx::query(AssertSqlSafe(statement)).execute(&service.pool).await.unwrap();
}

async fn opened(service: &Service, order: Uuid, ago: &str) {
    let opened =
        format!("UPDATE orders SET opened_at = now() - interval '{ago}' WHERE id = '{order}'");
    run(service, &opened).await;
}

/// The orders whose starts wait to be sent.
async fn sent(service: &Service) -> Vec<String> {
    let messages = service.outbox().await;
    let sagas =
        messages.iter().map(|start| start["properties"]["correlation_id"].as_str().unwrap());
    sagas.map(str::to_owned).collect()
}

#[tokio::test]
async fn whoever_was_overtaken_is_sent_again_with_the_very_message_that_was_sent_first() {
    let service = start().await;
    let body = json!({ "customer_id": "cust_123", "items": [{ "product_id": "prod_007", "quantity": 2 }] });
    service.accepted(&body, None).await;
    let first = service.outbox().await.remove(0);
    let lost = given_orders_that_wait(&service, 2).await;
    opened(&service, lost[1], "1 min").await;
    assert_eq!(send_again(&service.pool, PATIENCE).await.unwrap(), 2);
    assert_eq!(service.outbox().await[0], first);
}

#[tokio::test]
async fn a_long_queue_without_losses_costs_one_message() {
    let service = start().await;
    let waiting = given_orders_that_wait(&service, 20).await;
    opened(&service, waiting[0], "1 min").await;
    assert_eq!(send_again(&service.pool, PATIENCE).await.unwrap(), 1);
    assert_eq!(sent(&service).await, [waiting[19].to_string()]);
    assert_eq!(send_again(&service.pool, PATIENCE).await.unwrap(), 0);
}

#[tokio::test]
async fn whoever_was_overtaken_just_now_may_be_in_somebodys_hands() {
    let service = start().await;
    let waiting = given_orders_that_wait(&service, 3).await;
    opened(&service, waiting[2], "1 s").await;
    assert_eq!(send_again(&service.pool, PATIENCE).await.unwrap(), 1);
    assert_eq!(sent(&service).await, [waiting[1].to_string()]);
}

#[tokio::test]
async fn each_time_comes_after_twice_as_long() {
    let service = start().await;
    given_orders_that_wait(&service, 1).await;
    for seconds in [60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 1920.0] {
        assert_eq!(send_again(&service.pool, PATIENCE).await.unwrap(), 1);
        let again = "SELECT extract(epoch FROM start_again_at - now())::float8 FROM orders";
        let again: f64 = sqlx::query_scalar(again).fetch_one(&service.pool).await.unwrap();
        assert!((seconds - 30.0..=seconds).contains(&again), "{again} s");
        run(&service, "UPDATE orders SET start_again_at = now() - interval '1 s'").await;
    }
}

#[tokio::test]
async fn an_order_that_is_opened_or_withdrawn_or_new_is_left_alone() {
    let service = start().await;
    let orders = given_orders_that_wait(&service, 2).await;
    opened(&service, orders[0], "5 min").await;
    service.delete(&format!("/api/v1/orders/{}", orders[1])).await;
    assert_eq!(send_again(&service.pool, PATIENCE).await.unwrap(), 0);
    let body = json!({ "customer_id": "cust_123", "items": [{ "product_id": "prod_007", "quantity": 2 }] });
    service.accepted(&body, None).await;
    assert_eq!(send_again(&service.pool, PATIENCE).await.unwrap(), 0);
}
