//! Inventory on a database of its own.
#![allow(dead_code)] // each test file uses its part

use inventory::{Inventory, api, product::Product};
use reqwest::Response;
use runtime::{health::Health, http, http_client};
use serde_json::Value;
use sqlx::PgPool;
use std::sync::Arc;
use testkit::ScratchDb;
use worker::testing::Bench;

#[derive(Clone)]
pub struct Service {
    pub bench: Arc<Bench<Inventory>>,
    pool: PgPool,
    url: String,
    client: reqwest::Client,
    _scratch: Arc<ScratchDb>,
}

pub async fn start() -> Service {
    let scratch = ScratchDb::of("inventory", &inventory::MIGRATOR).await.unwrap();
    let pool = scratch.pool().clone();
    let listener = http::listen([127, 0, 0, 1].into(), 0).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let routes = api::router(pool.clone());
    let app = http::app(routes, Health::new());
    tokio::spawn(async { axum::serve(listener, app).await });
    Service {
        bench: Arc::new(Bench::of(inventory::worker(), pool.clone())),
        pool,
        url,
        client: http_client::client().unwrap(),
        _scratch: Arc::new(scratch),
    }
}

impl Service {
    pub async fn get(&self, path: &str) -> Response {
        self.client.get(format!("{}{path}", self.url)).send().await.unwrap()
    }

    /// The items of all pages.
    pub async fn all(&self, path: &str) -> Vec<Value> {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let page: Value = self.get(&format!("{path}{cursor}")).await.json().await.unwrap();
            items.extend(page["items"].as_array().unwrap().iter().cloned());
            let Some(next) = page["next"].as_str() else { return items };
            cursor = format!("&cursor={next}");
        }
    }

    pub async fn restock(&self, product: &str, body: Value, key: Option<&str>) -> Response {
        let mut request =
            self.client.post(format!("{}/api/v1/products/{product}/restock", self.url)).json(&body);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        request.send().await.unwrap()
    }

    pub async fn product(&self, id: &str) -> Product {
        Product::find(&self.pool, id).await.unwrap().unwrap()
    }

    pub async fn free(&self, id: &str) -> i64 {
        self.product(id).await.free
    }
}
