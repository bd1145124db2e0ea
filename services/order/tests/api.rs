//! The REST side, over real HTTP on a real database.
#![allow(clippy::unwrap_used)]

mod support;

use reqwest::StatusCode;
use serde_json::{Value, json};
use std::collections::HashSet;
use support::{Service, start};

fn tea_for_two() -> Value {
    json!({ "customer_id": "cust_123", "items": [{ "product_id": "prod_007", "quantity": 2 }] })
}

#[tokio::test]
async fn an_accepted_order_can_be_seen_at_its_location_with_its_prices() {
    let service = start().await;
    let answer = service.submit(&tea_for_two(), None).await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    let location = answer.headers()["location"].to_str().unwrap().to_owned();
    let receipt: Value = answer.json().await.unwrap();
    assert_eq!(receipt["order_id"], receipt["saga_id"]);
    assert_eq!(receipt["status"], "pending");
    assert_eq!(location, format!("/api/v1/orders/{}", receipt["order_id"].as_str().unwrap()));

    let order: Value = service.get(&location).await.json().await.unwrap();
    assert_eq!(order["order_id"], receipt["order_id"]);
    assert_eq!(order["customer_id"], "cust_123");
    assert_eq!(order["status"], "pending");
    assert_eq!(order["reason"], Value::Null);
    assert_eq!(order["total"], json!({ "amount": 1580, "currency": "EUR" }));
    assert_eq!(order["payment_method"], "card_ok");
    assert_eq!(order["ship_to"], json!({ "country": "DE" }));
    assert_eq!(
        order["items"],
        json!([{ "product_id": "prod_007", "name": "Green tea, 100 g", "quantity": 2,
                 "price": { "amount": 790, "currency": "EUR" } }])
    );
}

#[tokio::test]
async fn an_accepted_order_leaves_its_start_and_its_event_in_the_outbox() {
    let service = start().await;
    let receipt = service.accepted(&tea_for_two(), None).await;
    let messages = service.outbox().await;
    let kinds: Vec<_> = messages.iter().map(|message| &message["properties"]["type"]).collect();
    assert_eq!(kinds, ["saga.start", "order.created"]);
    assert_eq!(messages[0]["key"], "orchestrator.starts");
    for message in &messages {
        assert_eq!(message["properties"]["correlation_id"], receipt["saga_id"]);
    }
    let input: Value = serde_json::from_str(messages[0]["body"].as_str().unwrap()).unwrap();
    assert_eq!(
        input,
        json!({ "customer_id": "cust_123", "lines": [{ "product_id": "prod_007", "quantity": 2 }],
                "total": { "amount": 1580, "currency": "EUR" }, "payment_method": "card_ok",
                "ship_to": { "country": "DE" } })
    );
}

#[tokio::test]
async fn a_wrong_order_is_refused_with_every_reason_and_nothing_is_stored() {
    let service = start().await;
    let body = json!({
        "customer_id": "cust_123",
        "items": [{ "product_id": "prod_001", "quantity": 0 },
                  { "product_id": "nonsense", "quantity": 1 }],
    });
    let answer = service.submit(&body, Some("key-1")).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let problem: Value = answer.json().await.unwrap();
    let fields: Vec<_> =
        problem["errors"].as_array().unwrap().iter().map(|error| &error["field"]).collect();
    assert_eq!(fields, ["items[0].quantity", "items[1].product_id"]);
    assert_eq!(service.count("orders").await, 0);
    assert_eq!(service.count("outbox").await, 0);
    assert_eq!(service.count("idempotency").await, 0);
    // The key is still free: nothing came of it.
    service.accepted(&tea_for_two(), Some("key-1")).await;
}

#[tokio::test]
async fn an_unknown_field_is_refused_by_its_name() {
    let service = start().await;
    for (body, field) in [
        (json!({ "customer_id": "c", "items": [], "discount": 50 }), "discount"),
        (
            json!({ "customer_id": "c", "items": [{ "product_id": "prod_001", "quantity": 1, "price": 1 }] }),
            "items[0].price",
        ),
        (
            json!({ "customer_id": "c", "items": [{ "product_id": "prod_001", "quantity": "1" }] }),
            "items[0].quantity",
        ),
        (json!({ "items": [] }), "customer_id"),
        (json!({ "customer_id": "c", "items": [], "ship_to": {} }), "ship_to.country"),
    ] {
        let answer = service.submit(&body, None).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
    assert_eq!(service.count("orders").await, 0);
}

#[tokio::test]
async fn the_same_key_and_body_bring_the_same_bytes_and_one_order() {
    let service = start().await;
    let first = service.submit(&tea_for_two(), Some("key-1")).await;
    let (location, first) = (first.headers()["location"].clone(), first.bytes().await.unwrap());
    // The same request, written differently: other order of fields, defaults spelt out.
    let again = r#"{ "ship_to": {"country":"DE"}, "payment_method": "card_ok",
        "items": [{"quantity": 2, "product_id": "prod_007"}], "customer_id": "cust_123" }"#;
    let again = service.submit_raw(again.to_owned(), Some("key-1")).await;
    assert_eq!(again.status(), StatusCode::ACCEPTED);
    assert_eq!(again.headers()["location"], location);
    assert_eq!(again.bytes().await.unwrap(), first);
    assert_eq!(service.count("orders").await, 1);
    assert_eq!(service.count("outbox").await, 2);
}

#[tokio::test]
async fn the_same_key_with_another_body_is_refused() {
    let service = start().await;
    service.accepted(&tea_for_two(), Some("key-1")).await;
    let mut other = tea_for_two();
    other["items"][0]["quantity"] = json!(3);
    let answer = service.submit(&other, Some("key-1")).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(problem["errors"][0]["field"], "Idempotency-Key");
    assert_eq!(service.count("orders").await, 1);
}

#[tokio::test]
async fn twenty_submissions_at_once_with_one_key_are_one_order() {
    let service = start().await;
    let body = tea_for_two();
    let mut answers = HashSet::new();
    let submissions = (0..20).map(|_| {
        let (service, body) = (service.clone(), body.clone());
        tokio::spawn(async move { service.accepted(&body, Some("key-1")).await.to_string() })
    });
    for submission in submissions.collect::<Vec<_>>() {
        answers.insert(submission.await.unwrap());
    }
    assert_eq!(answers.len(), 1);
    assert_eq!(service.count("orders").await, 1);
    assert_eq!(service.count("outbox").await, 2);
}

#[tokio::test]
async fn submissions_at_one_time_share_transactions_and_each_fares_as_if_it_were_alone() {
    let service = start().await;
    let first = service.accepted(&tea_for_two(), Some("known")).await;
    let mut wrong = tea_for_two();
    wrong["items"][0]["quantity"] = json!(0);
    let mut other = tea_for_two();
    other["customer_id"] = json!("somebody_else");
    let submissions: Vec<_> = (0..60)
        .map(|number| {
            let (body, key) = match number % 5 {
                0 => (tea_for_two(), None),
                1 => (tea_for_two(), Some(format!("key-{number}"))),
                2 => (wrong.clone(), Some(format!("key-{number}"))),
                3 => (tea_for_two(), Some("known".to_owned())),
                _ => (other.clone(), Some("known".to_owned())),
            };
            let service = service.clone();
            tokio::spawn(async move {
                let answer = service.submit(&body, key.as_deref()).await;
                (answer.status(), answer.json::<Value>().await.unwrap())
            })
        })
        .collect();
    let mut ids = HashSet::new();
    for (number, submission) in submissions.into_iter().enumerate() {
        let (status, said) = submission.await.unwrap();
        let field = said["errors"][0]["field"].as_str();
        match number % 5 {
            0 | 1 => {
                let id = said["order_id"].as_str().unwrap().to_owned();
                assert!(ids.insert(id), "{said} is another one's");
            }
            2 => assert_eq!(field, Some("items[0].quantity")),
            3 => assert_eq!(said, first),
            _ => assert_eq!(field, Some("Idempotency-Key")),
        }
        assert_eq!(status == StatusCode::ACCEPTED, [0, 1, 3].contains(&(number % 5)), "{said}");
    }
    for (table, rows) in [("orders", 25), ("inbox", 25), ("outbox", 50), ("idempotency", 13)] {
        assert_eq!(service.count(table).await, rows, "{table}");
    }
    let commits: i64 = sqlx::query_scalar("SELECT count(DISTINCT xmin::text) FROM orders")
        .fetch_one(&service.pool)
        .await
        .unwrap();
    assert!(commits < 20, "{commits} transactions for 25 orders");
}

#[tokio::test]
async fn a_malformed_key_is_refused() {
    let service = start().await;
    for key in ["", "two words", &"k".repeat(256)] {
        let answer = service.submit(&tea_for_two(), Some(key)).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{key:?}");
    }
    assert_eq!(service.count("orders").await, 0);
    service.accepted(&tea_for_two(), Some(&"k".repeat(255))).await;
}

#[tokio::test]
async fn pages_show_every_order_once_newest_first() {
    let service = start().await;
    let mut submitted = Vec::new();
    for number in 0..7 {
        let mut body = tea_for_two();
        body["customer_id"] = json!(if number % 2 == 0 { "even" } else { "odd" });
        submitted.push(service.accepted(&body, None).await["order_id"].clone());
    }
    submitted.reverse();
    assert_eq!(service.pages("limit=3").await, submitted);
    assert_eq!(service.pages("limit=7").await, submitted);
    let even: Vec<_> = submitted.iter().step_by(2).cloned().collect();
    assert_eq!(service.pages("limit=2&customer_id=even").await, even);
    assert_eq!(service.pages("limit=2&status=pending").await, submitted);
    assert!(service.pages("status=confirmed").await.is_empty());
}

#[tokio::test]
async fn a_wrong_filter_is_refused_by_its_name() {
    let service = start().await;
    for (query, field) in [
        ("status=lost", "status"),
        ("customer_id=a%00b", "customer_id"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("cursor=nonsense", "cursor"),
    ] {
        let answer = service.get(&format!("/api/v1/orders?{query}")).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{query}");
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
}

#[tokio::test]
async fn an_order_that_is_not_there_is_not_found() {
    let service = start().await;
    for id in ["0198f0a0-0000-7000-8000-000000000000", "not-an-id"] {
        let path = format!("/api/v1/orders/{id}");
        assert_eq!(service.get(&path).await.status(), StatusCode::NOT_FOUND);
        assert_eq!(service.delete(&path).await.status(), StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn without_a_database_submission_answers_503_in_time() {
    let service = Service::without_database().await;
    let started = std::time::Instant::now();
    let answer = service.submit(&tea_for_two(), None).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers().contains_key("retry-after"));
    assert!(started.elapsed() < std::time::Duration::from_secs(5));
}
