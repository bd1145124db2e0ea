//! openapi.json: what is answered is what it says, and all of it is answered.
#![allow(clippy::unwrap_used)]

mod support;

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use support::{Service, orchestrator, start};

const ORDERS: &str = "/api/v1/orders";
const ONE: &str = "/api/v1/orders/{id}";
const EVENTS: &str = "/api/v1/events";

struct Document {
    whole: Value,
    /// Path, method and status of what was answered.
    seen: BTreeSet<(String, String, u16)>,
}

impl Document {
    async fn of(service: &Service) -> Self {
        let answer = service.get("/docs/openapi.json").await;
        Document { whole: answer.json().await.unwrap(), seen: BTreeSet::new() }
    }

    /// Checks an answer to `path`, as the document spells it.
    async fn check(&mut self, path: &str, method: &str, answer: Response) -> Value {
        let status = answer.status().as_u16();
        let media = answer.headers()["content-type"].to_str().unwrap().to_owned();
        let body: Value = answer.json().await.unwrap();
        let mut said = &self.whole["paths"][path][method]["responses"][status.to_string()];
        if let Some(shared) = said["$ref"].as_str() {
            said = self.whole.pointer(shared.trim_start_matches('#')).unwrap();
        }
        let mut schema = said["content"][&media]["schema"].clone();
        assert!(schema.is_object(), "{method} {path}: {status} {media} {body}");
        schema["components"] = self.whole["components"].clone();
        let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
        let wrong: Vec<_> = validator.iter_errors(&body).map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{method} {path}: {wrong:?}: {body}");
        self.seen.insert((path.to_owned(), method.to_owned(), status));
        body
    }

    /// Every operation with each of its answers.
    fn said(&self) -> BTreeSet<(String, String, u16)> {
        let mut said = BTreeSet::new();
        for (path, item) in self.whole["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                for status in operation["responses"].as_object().into_iter().flatten() {
                    said.insert((path.clone(), method.clone(), status.0.parse().unwrap()));
                }
            }
        }
        said
    }
}

fn tea() -> Value {
    json!({ "customer_id": "cust_123", "items": [{ "product_id": "prod_007", "quantity": 2 }],
            "ship_to": { "country": "DE", "city": "Ulm" } })
}

#[tokio::test]
async fn every_answer_of_the_document_is_given_as_it_says_and_no_other() {
    let accepting = orchestrator(StatusCode::ACCEPTED, json!({})).await;
    let service = Service::with_orchestrator(&accepting.url).await;
    let mut document = Document::of(&service).await;

    let answer = service.submit(&tea(), Some("key")).await;
    assert!(answer.headers().contains_key("location"));
    let receipt = document.check(ORDERS, "post", answer).await;
    for (media, body) in [
        ("application/json", "{".to_owned()),
        ("application/json", format!("\"{}\"", "x".repeat(300 * 1024))),
        ("text/plain", tea().to_string()),
        ("application/json", json!({ "customer_id": "", "items": [] }).to_string()),
    ] {
        document.check(ORDERS, "post", service.post(ORDERS, media, body).await).await;
    }

    let id = receipt["order_id"].as_str().unwrap();
    let (own, nobodys) = (format!("{ORDERS}/{id}"), format!("{ORDERS}/{}", uuid::Uuid::nil()));
    let confirm = "UPDATE orders SET status = 'confirmed', opened_at = now(), updated_at = now() - interval '1 min'";
    let again = "UPDATE orders SET status = 'pending', opened_at = NULL";
    document.check(ONE, "get", service.get(&own).await).await;
    sqlx::query(confirm).execute(&service.pool).await.unwrap();
    document.check(ONE, "get", service.get(&own).await).await;
    document.check(ONE, "delete", service.delete(&own).await).await;
    let events = document.check(EVENTS, "get", service.get(EVENTS).await).await;
    assert_eq!(events["items"].as_array().unwrap().len(), 1);
    sqlx::query(again).execute(&service.pool).await.unwrap();
    for _ in 0..2 {
        document.check(ONE, "delete", service.delete(&own).await).await;
    }
    document.check(ONE, "get", service.get(&nobodys).await).await;
    document.check(ONE, "delete", service.delete(&nobodys).await).await;
    for query in ["", "?status=cancelled&customer_id=cust_123&limit=1", "?status=lost"] {
        document.check(ORDERS, "get", service.get(&format!("{ORDERS}{query}")).await).await;
    }
    document.check(EVENTS, "get", service.get("/api/v1/events?cursor=7b7d").await).await;

    let away = Service::without_database().await;
    document.check(ORDERS, "post", away.submit(&tea(), None).await).await;
    document.check(ORDERS, "get", away.get(ORDERS).await).await;
    document.check(ONE, "get", away.get(&own).await).await;
    document.check(ONE, "delete", away.delete(&own).await).await;
    document.check(EVENTS, "get", away.get(EVENTS).await).await;
    assert_eq!(document.seen, document.said());
}

#[tokio::test]
async fn the_document_names_every_method_that_is_taken() {
    let service = start().await;
    let document = Document::of(&service).await;
    for (path, item) in document.whole["paths"].as_object().unwrap() {
        let path = path.replace("{id}", &uuid::Uuid::nil().to_string());
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let asked = service.ask(Method::from_bytes(method.as_bytes()).unwrap(), &path).await;
            let taken = asked.status() != StatusCode::METHOD_NOT_ALLOWED;
            assert_eq!(taken, item[method.to_lowercase()].is_object(), "{method} {path}");
        }
    }
}
