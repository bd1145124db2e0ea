//! What events make of the numbers, in any order and told twice, on a real database.
#![allow(clippy::unwrap_used)]

use analytics::{Analytics, api};
use contracts::{
    Currency, EventEnvelope, Money, SagaId,
    order::{OrderCancelled, OrderConfirmed, OrderCreated},
};
use runtime::{health::Health, http, http_client};
use serde_json::{Value, json};
use std::sync::Arc;
use testkit::ScratchDb;
use uuid::Uuid;
use worker::testing::Bench;

#[derive(Clone)]
struct Service {
    bench: Arc<Bench<Analytics>>,
    url: String,
    client: reqwest::Client,
    _scratch: Arc<ScratchDb>,
}

async fn start() -> Service {
    let scratch = ScratchDb::of("analytics", &analytics::MIGRATOR).await.unwrap();
    let pool = scratch.pool().clone();
    let listener = http::listen([127, 0, 0, 1].into(), 0).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let routes = api::router(pool.clone());
    let app = http::app(routes, Health::new());
    tokio::spawn(async { axum::serve(listener, app).await });
    Service {
        bench: Arc::new(Bench::of(analytics::worker(), pool)),
        url,
        client: http_client::client().unwrap(),
        _scratch: Arc::new(scratch),
    }
}

impl Service {
    async fn get(&self, path: &str) -> Value {
        let url = format!("{}/api/v1/analytics{path}", self.url);
        self.client.get(url).send().await.unwrap().json().await.unwrap()
    }

    async fn created(&self, order: SagaId) -> bool {
        let event = OrderCreated { order, customer_id: customer(), lines: vec![], total: total() };
        self.bench.tell(order, &event).await.unwrap()
    }

    async fn confirmed(&self, order: SagaId) -> bool {
        let event =
            OrderConfirmed { order, customer_id: customer(), lines: vec![], total: total() };
        self.bench.tell(order, &event).await.unwrap()
    }

    async fn cancelled(&self, order: SagaId, cause: &str, reason: &str) -> bool {
        let (cause, reason) = (cause.to_owned(), reason.to_owned());
        let event =
            OrderCancelled { order, customer_id: customer(), total: total(), reason, cause };
        self.bench.tell(order, &event).await.unwrap()
    }
}

fn order() -> SagaId {
    SagaId(Uuid::now_v7())
}

fn customer() -> String {
    "cust_123".to_owned()
}

fn total() -> Money {
    Money::new(1580, Currency::new("EUR").unwrap())
}

fn counts(created: i64, confirmed: i64, cancelled: i64) -> Value {
    let pending = created - confirmed - cancelled;
    json!({ "created": created, "confirmed": confirmed, "cancelled": cancelled, "pending": pending })
}

#[tokio::test]
async fn before_any_event_all_numbers_are_zero() {
    let service = start().await;
    let expected = json!({ "orders": counts(0, 0, 0), "revenue": [], "failures": [] });
    assert_eq!(service.get("").await, expected);
}

#[tokio::test]
async fn orders_revenue_and_failures_are_counted() {
    let service = start().await;
    let orders = [(); 5].map(|()| order());
    for order in orders {
        assert!(service.created(order).await);
    }
    service.confirmed(orders[0]).await;
    service.confirmed(orders[1]).await;
    service.cancelled(orders[2], "reserve-stock", "out of stock").await;
    service.cancelled(orders[3], "reserve-stock", "out of stock").await;
    assert_eq!(
        service.get("").await,
        json!({ "orders": counts(5, 2, 2),
                "revenue": [{ "amount": 3160, "currency": "EUR" }],
                "failures": [{ "cause": "reserve-stock", "reason": "out of stock", "count": 2 }] })
    );
}

#[tokio::test]
async fn events_that_come_together_count_as_each_alone() {
    let service = start().await;
    let orders = [(); 4].map(|()| order());
    let (customer_id, lines) = (customer(), Vec::new());
    let told = |order: SagaId| OrderCreated {
        order,
        customer_id: customer_id.clone(),
        lines: lines.clone(),
        total: total(),
    };
    let ended = |order: SagaId| OrderConfirmed {
        order,
        customer_id: customer_id.clone(),
        lines: lines.clone(),
        total: total(),
    };
    let undone = |order: SagaId| OrderCancelled {
        order,
        customer_id: customer_id.clone(),
        total: total(),
        reason: "out of stock".to_owned(),
        cause: "reserve-stock".to_owned(),
    };
    let mut events: Vec<_> =
        orders.iter().map(|order| EventEnvelope::of(*order, &told(*order)).unwrap()).collect();
    for order in &orders[..2] {
        events.push(EventEnvelope::of(*order, &ended(*order)).unwrap());
    }
    events.push(EventEnvelope::of(orders[2], &undone(orders[2])).unwrap());
    for new in [true, false] {
        for heard in service.bench.tell_all(&events).await.unwrap() {
            assert_eq!(heard.unwrap(), new);
        }
        assert_eq!(
            service.get("").await,
            json!({ "orders": counts(4, 2, 1),
                    "revenue": [{ "amount": 3160, "currency": "EUR" }],
                    "failures": [{ "cause": "reserve-stock", "reason": "out of stock", "count": 1 }] })
        );
    }
}

#[tokio::test]
async fn an_event_told_twice_counts_once() {
    let service = start().await;
    let order = order();
    for new in [true, false] {
        assert_eq!(service.created(order).await, new);
        assert_eq!(service.confirmed(order).await, new);
    }
    let summary = service.get("").await;
    assert_eq!(summary["orders"], counts(1, 1, 0));
    assert_eq!(summary["revenue"], json!([{ "amount": 1580, "currency": "EUR" }]));
}

#[tokio::test]
async fn an_ending_may_come_before_the_beginning() {
    let service = start().await;
    let (good, bad) = (order(), order());
    service.confirmed(good).await;
    service.cancelled(bad, "cancelled", "cancelled by the customer").await;
    assert_eq!(service.get("").await["orders"], counts(2, 1, 1));
    service.created(good).await;
    service.created(bad).await;
    assert_eq!(service.get("").await["orders"], counts(2, 1, 1));
}

#[tokio::test]
async fn an_order_ends_once() {
    let service = start().await;
    let order = order();
    service.confirmed(order).await;
    service.cancelled(order, "cancelled", "too late").await;
    let summary = service.get("").await;
    assert_eq!((&summary["orders"], &summary["failures"]), (&counts(1, 1, 0), &json!([])));
}

#[tokio::test]
async fn a_very_long_reason_is_cut_and_counted() {
    let service = start().await;
    assert!(service.cancelled(order(), "book-shipment", &"é".repeat(10_000)).await);
    let summary = service.get("").await;
    assert_eq!(summary["failures"][0]["reason"], "é".repeat(300));
}

#[tokio::test]
async fn events_at_once_lose_no_count() {
    let service = start().await;
    let told = (0..40).map(|number| {
        let service = service.clone();
        tokio::spawn(async move {
            let order = order();
            service.created(order).await;
            match number % 2 {
                0 => service.confirmed(order).await,
                _ => service.cancelled(order, "authorise-payment", "declined").await,
            };
        })
    });
    for told in told.collect::<Vec<_>>() {
        told.await.unwrap();
    }
    let summary = service.get("").await;
    assert_eq!(summary["orders"], counts(40, 20, 20));
    assert_eq!(summary["revenue"][0]["amount"], 20 * 1580);
    assert_eq!(summary["failures"][0]["count"], 20);
}

#[tokio::test]
async fn pages_show_every_order_once_newest_first() {
    let service = start().await;
    let mut orders = Vec::new();
    for _ in 0..7 {
        let order = order();
        service.created(order).await;
        orders.insert(0, order.to_string());
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = service.get(&format!("/orders?limit=3{cursor}")).await;
        for order in page["items"].as_array().unwrap() {
            seen.push(order["order_id"].as_str().unwrap().to_owned());
            assert_eq!(order["status"], "pending");
            assert_eq!(order["total"], json!({ "amount": 1580, "currency": "EUR" }));
        }
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, orders);
    let problem = service.get("/orders?limit=1000").await;
    assert_eq!(problem["errors"][0]["field"], "limit");
}
