//! The REST side, over real HTTP on a real database.
#![allow(clippy::unwrap_used)]

mod support;

use reqwest::StatusCode;
use serde_json::{Value, json};
use std::collections::HashSet;
use support::start;

#[tokio::test]
async fn the_sample_catalogue_has_stock_little_stock_and_none() {
    let service = start().await;
    let products = service.all("/api/v1/products?limit=10").await;
    assert!(products.len() >= 24);
    let free = |id: &str| {
        products.iter().find(|product| product["product_id"] == id).unwrap()["free"].clone()
    };
    assert!(free("prod_001").as_i64().unwrap() >= 10_000);
    assert_eq!((free("prod_023"), free("prod_024")), (json!(3), json!(0)));
    for product in &products {
        assert_eq!(product["price"]["currency"], "EUR");
        assert!(product["price"]["amount"].as_i64().unwrap() > 0);
    }
}

#[tokio::test]
async fn a_product_shows_where_its_stock_is() {
    let service = start().await;
    let product: Value = service.get("/api/v1/products/prod_001").await.json().await.unwrap();
    assert_eq!(
        product,
        json!({ "product_id": "prod_001", "name": "Stoneware mug, 350 ml",
                "price": { "amount": 1290, "currency": "EUR" },
                "free": 12000, "reserved": 0, "shipped": 0, "initial": 12000, "restocked": 0 })
    );
    for unknown in ["prod_999", "a%00b", "%27%3B--"] {
        let answer = service.get(&format!("/api/v1/products/{unknown}")).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{unknown}");
    }
}

#[tokio::test]
async fn pages_show_every_product_once() {
    let service = start().await;
    let all = service.all("/api/v1/products?limit=200").await;
    for limit in [1, 5, 24, 25] {
        assert_eq!(service.all(&format!("/api/v1/products?limit={limit}")).await, all);
    }
    let ids: HashSet<_> = all.iter().map(|product| product["product_id"].to_string()).collect();
    assert_eq!(ids.len(), all.len());
}

#[tokio::test]
async fn a_restock_adds_to_what_is_free_and_answers_the_product() {
    let service = start().await;
    let answer = service.restock("prod_023", json!({ "quantity": 7 }), None).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let product: Value = answer.json().await.unwrap();
    assert_eq!((&product["free"], &product["restocked"]), (&json!(10), &json!(7)));
    let shown: Value = service.get("/api/v1/products/prod_023").await.json().await.unwrap();
    assert_eq!(shown, product);
}

#[tokio::test]
async fn a_restock_with_the_same_key_adds_once_and_answers_the_same_bytes() {
    let service = start().await;
    let body = json!({ "quantity": 7 });
    let mut answers = HashSet::new();
    let requests = (0..20).map(|_| {
        let (service, body) = (service.clone(), body.clone());
        tokio::spawn(async move {
            let answer = service.restock("prod_023", body, Some("delivery-1")).await;
            assert_eq!(answer.status(), StatusCode::OK);
            answer.text().await.unwrap()
        })
    });
    for request in requests.collect::<Vec<_>>() {
        answers.insert(request.await.unwrap());
    }
    assert_eq!(answers.len(), 1);
    assert_eq!(service.free("prod_023").await, 10);
    for (product, quantity) in [("prod_023", 8), ("prod_024", 7)] {
        let answer =
            service.restock(product, json!({ "quantity": quantity }), Some("delivery-1")).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    }
    assert_eq!((service.free("prod_023").await, service.free("prod_024").await), (10, 0));
}

#[tokio::test]
async fn a_wrong_restock_is_refused_and_adds_nothing() {
    let service = start().await;
    for (body, field) in [
        (json!({ "quantity": 0 }), "quantity"),
        (json!({ "quantity": -5 }), "quantity"),
        (json!({ "quantity": 1_000_001 }), "quantity"),
        (json!({ "quantity": 1.5 }), "quantity"),
        (json!({ "quantity": "1" }), "quantity"),
        (json!({}), "quantity"),
        (json!({ "quantity": 1, "free": 9 }), "free"),
    ] {
        let answer = service.restock("prod_023", body.clone(), None).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
    let unknown = service.restock("prod_999", json!({ "quantity": 1 }), Some("key")).await;
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    assert_eq!(service.free("prod_023").await, 3);
}

#[tokio::test]
async fn a_wrong_query_is_refused_by_its_name() {
    let service = start().await;
    for (path, field) in [
        ("products?limit=0", "limit"),
        ("products?limit=many", "limit"),
        ("products?cursor=xyz", "cursor"),
        ("holds?order_id=1", "order_id"),
        ("holds?cursor=00", "cursor"),
    ] {
        let answer = service.get(&format!("/api/v1/{path}")).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{path}");
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
}
