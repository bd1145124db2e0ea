//! The simulated outside, over HTTP.

#![allow(clippy::unwrap_used)]

use reqwest::StatusCode;
use serde_json::{Value, json};
use simulator::Simulator;
use std::{io::Write, path::Path, time::Duration};

struct Served {
    base: String,
    client: reqwest::Client,
    server: tokio::task::JoinHandle<()>,
}

impl Served {
    async fn start(state: Option<&Path>) -> Served {
        let router = Simulator::open(state).unwrap().router();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Served { base, client: runtime::http_client::client().unwrap(), server }
    }

    fn request(&self, path: &str, key: &str, body: Value) -> reqwest::RequestBuilder {
        let url = format!("{}{path}", self.base);
        self.client.post(url).header("idempotency-key", key).json(&body)
    }

    async fn post(&self, path: &str, key: &str, body: Value) -> (u16, Value) {
        answer(self.request(path, key, body).send().await.unwrap()).await
    }

    async fn authorise(&self, key: &str, method: &str) -> (u16, Value) {
        let body = json!({ "amount": 1299, "currency": "EUR", "method": method });
        self.post("/gateway/authorisations", key, body).await
    }

    async fn settle(&self, verb: &str, key: &str, authorisation_key: &str) -> (u16, Value) {
        let path = format!("/gateway/{verb}");
        self.post(&path, key, json!({ "authorisation_key": authorisation_key })).await
    }

    async fn fault(&self, fault: Value) -> StatusCode {
        let url = format!("{}/admin/faults", self.base);
        self.client.put(url).json(&fault).send().await.unwrap().status()
    }

    async fn ledger(&self) -> Value {
        let url = format!("{}/admin/ledger", self.base);
        self.client.get(url).send().await.unwrap().json().await.unwrap()
    }

    async fn status_of(&self, key: &str) -> Option<String> {
        let ledger = self.ledger().await;
        let records = ledger["authorisations"].as_array().unwrap().iter();
        let all = records.chain(ledger["shipments"].as_array().unwrap());
        all.into_iter()
            .find(|record| record["key"] == key)
            .map(|record| record["status"].as_str().unwrap().to_owned())
    }
}

async fn answer(response: reqwest::Response) -> (u16, Value) {
    (response.status().as_u16(), response.json().await.unwrap())
}

/// A file of its own, gone when the test ends.
struct State(std::path::PathBuf);

impl State {
    fn new() -> State {
        let name = format!("simulator-{}.jsonl", uuid::Uuid::new_v4());
        State(std::env::temp_dir().join(name))
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[tokio::test]
async fn the_same_key_gets_the_same_answer_and_one_authorisation() {
    let simulator = Served::start(None).await;
    let first = simulator.authorise("a", "card_ok").await;
    assert_eq!(first.0, 201);
    assert_eq!(first.1["status"], "authorised");
    assert_eq!(simulator.authorise("a", "card_ok").await, first);
    assert_eq!(simulator.ledger().await["authorisations"].as_array().unwrap().len(), 1);
    assert_eq!(simulator.authorise("a", "card_declined").await.1["reason"], "key-reused");
}

#[tokio::test]
async fn a_declined_card_leaves_nothing_in_the_ledger() {
    let simulator = Served::start(None).await;
    let declined = (402, json!({ "reason": "card-declined" }));
    assert_eq!(simulator.authorise("a", "card_declined").await, declined);
    assert_eq!(simulator.authorise("b", "cash").await.1["reason"], "unknown-method");
    assert_eq!(simulator.ledger().await["authorisations"], json!([]));
}

#[tokio::test]
async fn money_moves_only_along_its_way() {
    let simulator = Served::start(None).await;
    simulator.authorise("a", "card_ok").await;
    assert_eq!(simulator.settle("captures", "unknown", "nothing").await.0, 404);
    assert_eq!(simulator.settle("refunds", "early", "a").await.0, 409);
    assert_eq!(simulator.settle("captures", "c", "a").await.0, 200);
    let void = simulator.settle("voids", "v", "a").await;
    assert_eq!(void, (409, json!({ "reason": "captured" })));
    assert_eq!(simulator.settle("captures", "again", "a").await.0, 409);
    assert_eq!(simulator.settle("refunds", "r", "a").await.0, 200);
    assert_eq!(simulator.status_of("a").await.as_deref(), Some("refunded"));
}

#[tokio::test]
async fn a_card_that_fails_at_capture_stays_authorised_until_it_is_voided() {
    let simulator = Served::start(None).await;
    simulator.authorise("a", "card_capture_fails").await;
    let refused = (402, json!({ "reason": "capture-refused" }));
    assert_eq!(simulator.settle("captures", "c", "a").await, refused);
    assert_eq!(simulator.status_of("a").await.as_deref(), Some("authorised"));
    assert_eq!(simulator.settle("voids", "v", "a").await.0, 200);
    assert_eq!(simulator.status_of("a").await.as_deref(), Some("voided"));
}

#[tokio::test]
async fn an_undo_that_comes_first_succeeds_and_keeps_the_action_out() {
    let simulator = Served::start(None).await;
    assert_eq!(simulator.settle("voids", "v", "a").await.0, 200);
    assert_eq!(simulator.authorise("a", "card_ok").await, (409, json!({ "reason": "voided" })));
    assert_eq!(simulator.status_of("a").await.as_deref(), Some("voided"));

    let named = json!({ "shipment_key": "s" });
    assert_eq!(simulator.post("/carrier/cancellations", "x", named).await.0, 200);
    let late = simulator.post("/carrier/shipments", "s", json!({ "country": "DE" })).await;
    assert_eq!(late, (409, json!({ "reason": "cancelled" })));
    assert_eq!(simulator.status_of("s").await.as_deref(), Some("cancelled"));
}

#[tokio::test]
async fn a_call_that_hangs_took_effect_and_the_next_one_hears_of_it() {
    let simulator = Served::start(None).await;
    let body = json!({ "amount": 1, "currency": "EUR", "method": "card_timeout" });
    let call = simulator.request("/gateway/authorisations", "a", body);
    let first = call.timeout(Duration::from_millis(200)).send().await;
    assert!(first.unwrap_err().is_timeout());
    assert_eq!(simulator.status_of("a").await.as_deref(), Some("authorised"));
    let body = json!({ "amount": 1, "currency": "EUR", "method": "card_timeout" });
    assert_eq!(simulator.post("/gateway/authorisations", "a", body).await.0, 201);
}

#[tokio::test]
async fn a_flaky_card_works_at_the_third_call() {
    let simulator = Served::start(None).await;
    assert_eq!(simulator.authorise("a", "card_flaky").await.0, 503);
    assert_eq!(simulator.authorise("a", "card_flaky").await.0, 503);
    assert_eq!(simulator.status_of("a").await, None);
    assert_eq!(simulator.authorise("a", "card_flaky").await.0, 201);
}

#[tokio::test]
async fn the_carrier_refuses_the_undeliverable_and_cancels_what_it_booked() {
    let simulator = Served::start(None).await;
    let refused = simulator.post("/carrier/shipments", "x", json!({ "country": "XX" })).await;
    assert_eq!(refused, (422, json!({ "reason": "undeliverable" })));
    let booked = simulator.post("/carrier/shipments", "s", json!({ "country": "DE" })).await;
    assert_eq!(booked.0, 201);
    assert!(booked.1["tracking"].as_str().unwrap().starts_with("TRK"));
    let named = json!({ "shipment_key": "s" });
    assert_eq!(simulator.post("/carrier/cancellations", "c", named).await.0, 200);
    assert_eq!(simulator.status_of("s").await.as_deref(), Some("cancelled"));
}

#[tokio::test]
async fn faults_are_set_per_target_and_per_request_and_have_no_effect_on_the_ledger() {
    let simulator = Served::start(None).await;
    assert_eq!(simulator.fault(json!({ "target": "gateway", "mode": "down" })).await, 200);
    assert_eq!(simulator.authorise("a", "card_ok").await.0, 503);
    let booked = simulator.post("/carrier/shipments", "s", json!({ "country": "DE" })).await;
    assert_eq!(booked.0, 201, "another target");
    let always = json!({ "target": "gateway", "mode": "flaky", "error_rate": 1.0 });
    assert_eq!(simulator.fault(always).await, 200);
    assert_eq!(simulator.authorise("a", "card_ok").await.0, 503);
    assert_eq!(simulator.fault(json!({ "target": "gateway", "mode": "ok" })).await, 200);
    let body = json!({ "amount": 1, "currency": "EUR", "method": "card_ok" });
    let call = simulator.request("/gateway/authorisations", "a", body.clone());
    assert_eq!(call.header("x-fault", "down").send().await.unwrap().status(), 503);
    let call = simulator.request("/gateway/authorisations", "a", body.clone());
    let hung = call.header("x-fault", "hang").timeout(Duration::from_millis(200)).send().await;
    assert!(hung.unwrap_err().is_timeout());
    assert_eq!(simulator.status_of("a").await, None);
    let call = simulator.request("/gateway/authorisations", "a", body);
    assert_eq!(call.header("x-fault", "slow:1").send().await.unwrap().status(), 201);
}

#[tokio::test]
async fn a_wrong_fault_body_or_key_is_refused() {
    let simulator = Served::start(None).await;
    for wrong in [
        json!({ "target": "moon", "mode": "down" }),
        json!({ "target": "gateway", "mode": "sulky" }),
        json!({ "target": "gateway", "mode": "flaky", "error_rate": 1.5 }),
    ] {
        assert_eq!(simulator.fault(wrong.clone()).await, 422, "{wrong}");
    }
    let url = format!("{}/gateway/voids", simulator.base);
    let body = json!({ "authorisation_key": "a" });
    let (status, body) = answer(simulator.client.post(url).json(&body).send().await.unwrap()).await;
    assert_eq!((status, body), (400, json!({ "reason": "idempotency-key-missing" })));
}

#[tokio::test]
async fn the_webhook_lists_what_came_and_how_often() {
    let simulator = Served::start(None).await;
    for _ in 0..2 {
        let sent = simulator.post("/webhook", "k", json!({ "body": "hello" })).await;
        assert_eq!(sent.0, 200);
    }
    let url = format!("{}/webhook", simulator.base);
    let list: Value = simulator.client.get(url).send().await.unwrap().json().await.unwrap();
    let item = json!({ "key": "k", "body": { "body": "hello" }, "times": 2 });
    assert_eq!(list, json!({ "items": [item], "next": null }));
}

#[tokio::test]
async fn a_restart_after_a_torn_line_keeps_every_answer_that_was_given() {
    let state = State::new();
    let before = Served::start(Some(&state.0)).await;
    let given = before.authorise("a", "card_ok").await;
    before.authorise("b", "card_declined").await;
    before.settle("voids", "v", "never-seen").await;
    before.post("/webhook", "k", json!({})).await;
    let ledger = before.ledger().await;
    before.server.abort();

    let mut file = std::fs::OpenOptions::new().append(true).open(&state.0).unwrap();
    file.write_all(b"{\"operation\":\"authorise\",\"key\":\"torn").unwrap();
    let after = Served::start(Some(&state.0)).await;
    assert_eq!(after.ledger().await, ledger);
    assert_eq!(after.authorise("a", "card_ok").await, given);
    assert_eq!(after.authorise("b", "card_declined").await.0, 402);
    assert_eq!(after.authorise("never-seen", "card_ok").await.0, 409);
    assert_eq!(after.authorise("torn", "card_ok").await.0, 201, "it was never answered");
    let ledger = after.ledger().await;
    after.server.abort();

    let again = Served::start(Some(&state.0)).await;
    assert_eq!(again.ledger().await, ledger, "what came after the torn line is whole");
}

#[tokio::test]
async fn a_state_file_of_another_program_is_refused_by_its_line() {
    let state = State::new();
    std::fs::write(&state.0, "{\"hello\":1}\n").unwrap();
    let error = Simulator::open(Some(&state.0)).err().unwrap().to_string();
    assert!(error.contains("line 1"), "{error}");
}
