//! The order service on a database of its own, and an orchestrator that says one thing.
#![allow(dead_code)] // each test file uses its part

use axum::{Json, Router, extract::Path, routing::post};
use order::{
    Intake,
    api::{self, Api},
    orchestrator::Orchestrator,
};
use reqwest::{Response, StatusCode};
use runtime::{config::Redacted, health::Health, http, http_client};
use serde_json::Value;
use sqlx::PgPool;
use std::sync::{Arc, Mutex};
use testkit::ScratchDb;

#[derive(Clone)]
pub struct Service {
    pub pool: PgPool,
    url: String,
    client: reqwest::Client,
    _scratch: Option<Arc<ScratchDb>>,
}

/// Where no test needs the orchestrator, it is nowhere.
const NOWHERE: &str = "http://127.0.0.1:9";

pub async fn start() -> Service {
    Service::with_orchestrator(NOWHERE).await
}

impl Service {
    pub async fn with_orchestrator(url: &str) -> Self {
        let scratch = ScratchDb::of("order", &order::MIGRATOR).await.unwrap();
        let pool = scratch.pool().clone();
        Self::serve(pool, url, Some(Arc::new(scratch))).await
    }

    pub async fn without_database() -> Self {
        let url = Redacted::new("postgres://nobody@127.0.0.1:9/nothing");
        Self::serve(store::pool(&url, "test").unwrap(), NOWHERE, None).await
    }

    async fn serve(pool: PgPool, orchestrator: &str, scratch: Option<Arc<ScratchDb>>) -> Self {
        let client = http_client::client().unwrap();
        let orchestrator = Orchestrator::new(orchestrator, client.clone());
        let intake = Intake::start(pool.clone());
        let api = Api { pool: pool.clone(), intake, orchestrator, nudge: Arc::new(|| {}) };
        let url = serve(api::router(api)).await;
        Service { pool, url, client, _scratch: scratch }
    }

    pub async fn submit(&self, body: &Value, key: Option<&str>) -> Response {
        self.submit_raw(body.to_string(), key).await
    }

    pub async fn submit_raw(&self, body: String, key: Option<&str>) -> Response {
        let mut request = self
            .client
            .post(format!("{}/api/v1/orders", self.url))
            .header("content-type", "application/json")
            .body(body);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        request.send().await.unwrap()
    }

    pub async fn post(&self, path: &str, media: &str, body: String) -> Response {
        let request = self.client.post(format!("{}{path}", self.url)).header("content-type", media);
        request.body(body).send().await.unwrap()
    }

    pub async fn ask(&self, method: reqwest::Method, path: &str) -> Response {
        self.client.request(method, format!("{}{path}", self.url)).send().await.unwrap()
    }

    /// Submits and expects to be accepted; the answer's body.
    pub async fn accepted(&self, body: &Value, key: Option<&str>) -> Value {
        let answer = self.submit(body, key).await;
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert_eq!(status, StatusCode::ACCEPTED, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    pub async fn get(&self, path: &str) -> Response {
        self.client.get(format!("{}{path}", self.url)).send().await.unwrap()
    }

    pub async fn delete(&self, path: &str) -> Response {
        self.client.delete(format!("{}{path}", self.url)).send().await.unwrap()
    }

    /// The order ids of all pages.
    pub async fn pages(&self, query: &str) -> Vec<Value> {
        let (mut ids, mut cursor) = (Vec::new(), String::new());
        loop {
            let page: Value =
                self.get(&format!("/api/v1/orders?{query}{cursor}")).await.json().await.unwrap();
            ids.extend(
                page["items"].as_array().unwrap().iter().map(|order| order["order_id"].clone()),
            );
            let Some(next) = page["next"].as_str() else { return ids };
            cursor = format!("&cursor={next}");
        }
    }

    /// The messages that wait to be sent, oldest first.
    pub async fn outbox(&self) -> Vec<Value> {
        sqlx::query_scalar("SELECT message FROM outbox ORDER BY id")
            .fetch_all(&self.pool)
            .await
            .unwrap()
    }

    pub async fn count(&self, table: &'static str) -> i64 {
        let statement = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        sqlx::query_scalar(statement).fetch_one(&self.pool).await.unwrap()
    }
}

/// Serves on a free port for as long as the test runs; answers the address.
async fn serve(router: Router) -> String {
    let listener = http::listen([127, 0, 0, 1].into(), 0).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = http::app(router, Health::new());
    tokio::spawn(async { axum::serve(listener, app).await });
    url
}

/// An orchestrator that gives every cancellation the same answer.
pub struct Asked {
    pub url: String,
    /// Saga and body of each request.
    pub requests: Arc<Mutex<Vec<(String, Value)>>>,
}

pub async fn orchestrator(status: StatusCode, answer: Value) -> Asked {
    let requests = Arc::new(Mutex::new(Vec::new()));
    let heard = requests.clone();
    let cancel = move |Path(saga): Path<String>, Json(body): Json<Value>| async move {
        heard.lock().unwrap().push((saga, body));
        (status, Json(answer))
    };
    let url = serve(Router::new().route("/api/v1/sagas/{id}/cancel", post(cancel))).await;
    Asked { url, requests }
}
