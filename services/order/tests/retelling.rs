//! What became of orders, told again to whoever asks.
#![allow(clippy::unwrap_used)]

mod support;

use contracts::order::OrderConfirmed;
use order::retelling::{self, Place};
use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use std::time::Duration;
use support::{Service, start};

async fn submitted(service: &Service) -> String {
    let body = json!({ "customer_id": "cust_123", "items": [{ "product_id": "prod_007", "quantity": 2 }] });
    service.accepted(&body, None).await["order_id"].as_str().unwrap().to_owned()
}

fn confirmation(order: &str) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!(
        "UPDATE orders SET status = 'confirmed', updated_at = now() WHERE id = '{order}'"
    ))
}

#[tokio::test]
async fn endings_are_told_again_oldest_first_and_page_by_page() {
    let service = start().await;
    let mut orders = Vec::new();
    for minutes in [1, 3, 2] {
        let order = submitted(&service).await;
        let ended = format!(
            "UPDATE orders SET status = 'confirmed', updated_at = now() - interval '{minutes} min'
              WHERE id = '{order}'"
        );
        sqlx::query(AssertSqlSafe(ended)).execute(&service.pool).await.unwrap();
        orders.push(order);
    }
    let (mut told, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/v1/events?limit=2{cursor}");
        let page: Value = service.get(&path).await.json().await.unwrap();
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
        told.extend(page["items"].as_array().unwrap().clone());
    }
    let sagas: Vec<_> = told.iter().map(|event| event["saga"].as_str().unwrap()).collect();
    assert_eq!(sagas, [&orders[1], &orders[2], &orders[0]]);
    assert_eq!(told[0]["kind"], "order.confirmed");
    assert_eq!(told[0]["id"], format!("{}/order.confirmed", orders[1]));
    let body: OrderConfirmed = serde_json::from_value(told[0]["body"].clone()).unwrap();
    assert_eq!(body.order.to_string(), orders[1]);
}

#[tokio::test]
async fn no_ending_is_told_before_one_that_may_still_come_ahead_of_it() {
    let service = start().await;
    let (slow, quick) = (submitted(&service).await, submitted(&service).await);
    let told = async || {
        let endings = retelling::endings(&service.pool, None::<&Place>, 10, Duration::ZERO).await;
        endings.unwrap().iter().map(|order| order.order_id.to_string()).collect::<Vec<_>>()
    };
    let mut open = service.pool.begin().await.unwrap();
    sqlx::query(confirmation(&slow)).execute(&mut *open).await.unwrap();
    sqlx::query(confirmation(&quick)).execute(&service.pool).await.unwrap();
    assert!(told().await.is_empty());
    open.commit().await.unwrap();
    assert_eq!(told().await, [slow, quick]);
}

#[tokio::test]
async fn a_cursor_that_nobody_gave_out_is_refused_by_name() {
    let service = start().await;
    let answer = service.get("/api/v1/events?cursor=7b7d").await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
}
