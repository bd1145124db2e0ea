//! What a client sees, through a real socket: every wrong input is a problem document, and nobody
//! can hold the server for ever.

#![allow(clippy::unwrap_used)]

use axum::{Json, Router, routing::get, routing::post};
use reqwest::{Method, RequestBuilder, Response, StatusCode, header};
use runtime::{
    health::Health,
    http::{self, Body, Limits, Params, PathId, Problem},
    http_client,
    page::{Cursor, Limit, Page},
    shutdown::Shutdown,
    telemetry,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
    time::timeout,
};
use uuid::Uuid;

const LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    customer: String,
    lines: Vec<Line>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    product: String,
    quantity: u32,
}

#[derive(Deserialize)]
struct Listing {
    #[serde(default)]
    limit: Limit,
    cursor: Option<Cursor<u32>>,
    above: Option<u32>,
}

async fn list(Params(listing): Params<Listing>) -> Page<u32> {
    let after = listing.cursor.map_or(0, |Cursor(key)| key).max(listing.above.unwrap_or(0));
    let rows = (after + 1..=120).take(listing.limit.rows() as usize).collect();
    Page::cut(rows, listing.limit, |item| *item)
}

fn router() -> Router {
    let slow = Router::new().route("/slow", get(std::future::pending::<()>));
    Router::new()
        .route("/orders", post(|Body(order): Body<Order>| async { Json(order) }))
        .route("/any", post(|Body(any): Body<Value>| async { Json(any) }))
        .route("/items", get(list))
        .route("/orders/{id}", get(|PathId(id): PathId<Uuid>| async move { id.to_string() }))
        .route(
            "/panic",
            get(|| async {
                if true {
                    panic!("as asked")
                }
            }),
        )
        .route(
            "/away",
            get(|| async { Problem::unavailable("the broker is away", 7).with("since", "noon") }),
        )
        .merge(http::with_time_limit(slow, Duration::from_millis(30)))
}

struct Served {
    address: SocketAddr,
    health: Health,
    shutdown: Shutdown,
    task: JoinHandle<()>,
    client: reqwest::Client,
}

impl Served {
    async fn start() -> Self {
        Self::within(Limits::default(), router()).await
    }

    async fn within(limits: Limits, router: Router) -> Self {
        let listener = http::listen(IpAddr::from([127, 0, 0, 1]), 0).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (health, shutdown) = (Health::new(), Shutdown::manual());
        let served = http::serve_on(listener, router, health.clone(), shutdown.clone(), limits);
        let task = tokio::spawn(served);
        Self { address, health, shutdown, task, client: http_client::client().unwrap() }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address))
    }

    async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Response {
        let request = self.request(Method::POST, path).body(body);
        request.header(header::CONTENT_TYPE, "application/json").send().await.unwrap()
    }
}

async fn problem(response: Response, status: StatusCode) -> Value {
    assert_eq!(response.status(), status);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    assert!(response.headers().contains_key("x-request-id"));
    let document: Value = response.json().await.unwrap();
    assert_eq!(document["status"], status.as_u16());
    assert!(document["title"].is_string() && document["detail"].is_string(), "{document}");
    document
}

fn fields(problem: &Value) -> Vec<&str> {
    let errors = problem["errors"].as_array().unwrap();
    errors.iter().map(|error| error["field"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_good_body_reaches_the_handler() {
    let served = Served::start().await;
    let order = json!({"customer": "c", "lines": [{"product": "p", "quantity": 1}]});
    let answer = served.post("/orders", order.to_string()).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.json::<Value>().await.unwrap(), order);
}

#[tokio::test]
async fn a_body_that_is_not_called_json_is_415() {
    let served = Served::start().await;
    let bare = served.request(Method::POST, "/any").body("{}");
    problem(bare.send().await.unwrap(), StatusCode::UNSUPPORTED_MEDIA_TYPE).await;
    for (kind, status) in [
        ("text/plain", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("application/jsonp", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("Application/JSON; charset=utf-8", StatusCode::OK),
        ("application/merge-patch+json", StatusCode::OK),
    ] {
        let request = served.request(Method::POST, "/any").body("{}");
        let answer = request.header(header::CONTENT_TYPE, kind).send().await.unwrap();
        assert_eq!(answer.status(), status, "{kind}");
    }
}

#[tokio::test]
async fn an_oversized_body_is_413_and_the_largest_allowed_is_not() {
    let served = Served::start().await;
    let text = |length: usize| format!("\"{}\"", "x".repeat(length - 2));
    let largest = served.post("/any", text(http::MAX_BODY)).await;
    assert_eq!(largest.status(), StatusCode::OK);
    for length in [http::MAX_BODY + 1, 8 * http::MAX_BODY] {
        let answer = served.post("/any", text(length)).await;
        problem(answer, StatusCode::PAYLOAD_TOO_LARGE).await;
    }
}

#[tokio::test]
async fn a_body_announced_as_huge_is_413_before_it_is_sent() {
    let served = Served::start().await;
    let head = "POST /any HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                content-length: 1000000000\r\n\r\n";
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    timeout(LIMIT, stream.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}

#[tokio::test]
async fn a_body_that_is_no_json_is_400() {
    let served = Served::start().await;
    for path in ["/any", "/orders"] {
        for bad in ["", "{", "nonsense", "{\"a\": 1} x", "{\"customer\": 1, }"] {
            problem(served.post(path, bad).await, StatusCode::BAD_REQUEST).await;
        }
        let not_utf8 = served.post(path, b"{\"customer\": \"\xff\"}".to_vec()).await;
        problem(not_utf8, StatusCode::BAD_REQUEST).await;
    }
}

#[tokio::test]
async fn a_body_nested_too_deep_is_400_wherever_it_nests() {
    let served = Served::start().await;
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(served.post("/any", deep(100)).await.status(), StatusCode::OK);
    for body in [
        deep(200),
        deep(100_000),
        format!("{{\"customer\": {}}}", deep(1000)),
        format!("{{\"unknown\": {}}}", deep(1000)),
        "[".repeat(200_000),
    ] {
        problem(served.post("/orders", body).await, StatusCode::BAD_REQUEST).await;
    }
}

#[tokio::test]
async fn a_body_of_another_shape_is_422_and_names_the_field() {
    let served = Served::start().await;
    for (body, field) in [
        (json!({"lines": []}), "customer"),
        (json!({"customer": "c"}), "lines"),
        (json!({"customer": 1, "lines": []}), "customer"),
        (json!({"customer": "c", "lines": [{"product": "p"}]}), "lines[0].quantity"),
        (
            json!({"customer": "c", "lines": [{"product": "p", "quantity": -1}]}),
            "lines[0].quantity",
        ),
        (json!({"customer": "c", "lines": [], "colour": "red"}), "colour"),
    ] {
        let answer = served.post("/orders", body.to_string()).await;
        let problem = problem(answer, StatusCode::UNPROCESSABLE_ENTITY).await;
        assert_eq!(fields(&problem), [field], "{problem}");
        assert!(!problem["errors"][0]["message"].as_str().unwrap().contains("line 1"));
    }
    let twice = r#"{"customer": "c", "customer": "d", "lines": []}"#;
    problem(served.post("/orders", twice).await, StatusCode::UNPROCESSABLE_ENTITY).await;
    problem(served.post("/orders", "[]").await, StatusCode::UNPROCESSABLE_ENTITY).await;
    problem(served.post("/orders", "7").await, StatusCode::UNPROCESSABLE_ENTITY).await;
}

#[tokio::test]
async fn a_list_is_walked_by_its_cursors() {
    let served = Served::start().await;
    let (mut seen, mut path) = (Vec::<u32>::new(), "/items?limit=50".to_owned());
    loop {
        let page: Page<u32> = served.get(&path).await.json().await.unwrap();
        seen.extend(page.items);
        let Some(next) = page.next else { break };
        path = format!("/items?limit=50&cursor={next}");
    }
    assert_eq!(seen, (1..=120).collect::<Vec<_>>());
    let default: Page<u32> = served.get("/items").await.json().await.unwrap();
    assert_eq!(default.items.len(), 50);
}

#[tokio::test]
async fn a_wrong_parameter_is_422_and_named() {
    let served = Served::start().await;
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=many", "limit"),
        ("limit=", "limit"),
        ("cursor=nonsense", "cursor"),
        ("cursor=", "cursor"),
        ("above=-1", "above"),
    ] {
        let answer = served.get(&format!("/items?{query}")).await;
        let problem = problem(answer, StatusCode::UNPROCESSABLE_ENTITY).await;
        assert_eq!(fields(&problem), [field], "{query}: {problem}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_404_and_the_wrong_method_405() {
    let served = Served::start().await;
    problem(served.get("/nowhere").await, StatusCode::NOT_FOUND).await;
    problem(served.get("/orders/not-an-id").await, StatusCode::NOT_FOUND).await;
    problem(served.get("/orders/%ff").await, StatusCode::NOT_FOUND).await;
    let wrong = served.request(Method::DELETE, "/orders").send().await.unwrap();
    assert_eq!(wrong.headers()[header::ALLOW], "POST");
    problem(wrong, StatusCode::METHOD_NOT_ALLOWED).await;
}

#[tokio::test]
async fn a_handler_that_takes_too_long_is_503_with_retry_after() {
    let served = Served::start().await;
    let answer = timeout(LIMIT, served.get("/slow")).await.unwrap();
    assert!(answer.headers().contains_key(header::RETRY_AFTER));
    problem(answer, StatusCode::SERVICE_UNAVAILABLE).await;
}

#[tokio::test]
async fn a_problem_carries_its_extra_members_and_retry_after() {
    let served = Served::start().await;
    let answer = served.get("/away").await;
    assert_eq!(answer.headers()[header::RETRY_AFTER], "7");
    assert_eq!(problem(answer, StatusCode::SERVICE_UNAVAILABLE).await["since"], "noon");
}

#[tokio::test]
async fn a_handler_that_panics_is_500_and_the_server_goes_on() {
    let served = Served::start().await;
    let problem = problem(served.get("/panic").await, StatusCode::INTERNAL_SERVER_ERROR).await;
    assert!(!problem.to_string().contains("as asked"));
    assert_eq!(served.get("/healthz").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_usable_request_id_is_kept_and_any_other_replaced() {
    let served = Served::start().await;
    for (given, kept) in [("abc-1", true), ("a b", false), (&"x".repeat(200), false)] {
        let request = served.request(Method::GET, "/healthz").header("x-request-id", given);
        let answer = request.send().await.unwrap();
        let id = answer.headers()["x-request-id"].to_str().unwrap();
        assert_eq!(id == given, kept, "{id}");
    }
}

#[tokio::test]
async fn readiness_follows_the_parts() {
    let served = Served::start().await;
    let broker = served.health.part("broker");
    let answer = served.get("/readyz").await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let report: Value = answer.json().await.unwrap();
    assert_eq!(report["parts"]["broker"], json!({"up": false, "reason": "starting"}));
    broker.up();
    assert_eq!(served.get("/readyz").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn durations_are_recorded_by_route_never_by_path() {
    telemetry::init("test");
    let served = Served::start().await;
    let id = Uuid::now_v7();
    served.get(&format!("/orders/{id}")).await;
    served.get("/nowhere/at/all").await;
    let text = served.get("/metrics").await.text().await.unwrap();
    let series = |route: &str, status: u16| {
        format!(
            "http_server_request_duration_seconds_bucket{{method=\"GET\",route=\"{route}\",\
             status=\"{status}\",le=\"5\"}}"
        )
    };
    assert!(text.contains(&series("/orders/{id}", 200)), "{text}");
    assert!(text.contains(&series("unmatched", 404)), "{text}");
    assert!(!text.contains(&id.to_string()) && !text.contains("nowhere"), "{text}");
}

#[tokio::test]
async fn a_client_that_never_ends_its_head_is_disconnected() {
    let limits = Limits { head: Duration::from_millis(50), ..Limits::default() };
    let served = Served::within(limits, router()).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost:").await.unwrap();
    let mut rest = Vec::new();
    timeout(LIMIT, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_shutdown_answers_what_is_in_flight_and_takes_nothing_new() {
    let (entered, gate) = (Shutdown::manual(), Shutdown::manual());
    let waits = {
        let (entered, gate) = (entered.clone(), gate.clone());
        move || async move {
            entered.begin();
            gate.begun().await;
            "done"
        }
    };
    let router = Router::new().route("/waits", get(waits));
    let served = Served::within(Limits::default(), router).await;
    let in_flight = tokio::spawn(served.request(Method::GET, "/waits").send());
    timeout(LIMIT, entered.begun()).await.unwrap();
    served.shutdown.begin();
    // The listener closes at once, while the request is still being answered.
    timeout(LIMIT, async {
        while TcpStream::connect(served.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    assert!(!served.task.is_finished());
    gate.begin();
    assert_eq!(in_flight.await.unwrap().unwrap().text().await.unwrap(), "done");
    timeout(LIMIT, served.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_ever() {
    let limits = Limits { drain: Duration::from_millis(50), ..Limits::default() };
    let entered = Shutdown::manual();
    let hangs = {
        let entered = entered.clone();
        move || async move {
            entered.begin();
            std::future::pending::<()>().await
        }
    };
    let served = Served::within(limits, Router::new().route("/hangs", get(hangs))).await;
    let in_flight = tokio::spawn(served.request(Method::GET, "/hangs").send());
    timeout(LIMIT, entered.begun()).await.unwrap();
    served.shutdown.begin();
    timeout(LIMIT, served.task).await.unwrap().unwrap();
    assert!(timeout(LIMIT, in_flight).await.unwrap().unwrap().is_err());
}

#[tokio::test]
async fn an_address_that_is_taken_is_told_with_its_variables() {
    let served = Served::start().await;
    let error = http::listen(served.address.ip(), served.address.port()).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&served.address.to_string()) && text.contains("PORT"), "{text}");
}
