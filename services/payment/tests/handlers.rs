//! What becomes of money: the handlers on a real database, against the simulated gateway, whose
//! ledger is the truth.

#![allow(clippy::unwrap_used)]

use contracts::{
    Currency, Money, Outcome, SagaId,
    payment::{AuthorisePayment, CapturePayment, RefundPayment, VoidPayment},
};
use payment::{
    MIGRATOR, Payment, api,
    gateway::{Authorised, Error, Gateway, HttpGateway, Said, Wanted},
};
use runtime::{
    http_client,
    resilience::{Breaker, BreakerPolicy, BreakerState},
};
use serde_json::{Value, json};
use simulator::Simulator;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};
use testkit::{PATIENCE, ScratchDb, eventually};
use worker::{Answered, Fault, Worker, testing::Bench};

#[tokio::test]
async fn a_good_card_is_authorised_then_captured_then_refunded() {
    let world = World::start().await;
    let order = order();
    let authorised = world.authorise(order, "card_ok").await.unwrap();
    assert_eq!(authorised.outcome, Outcome::Done);
    assert_eq!(world.books(order), ["authorised"]);
    let shown = world.payment(order).await;
    assert_eq!(shown["status"], "authorised");
    assert_eq!(shown["amount"], json!({ "amount": 1299, "currency": "EUR" }));
    assert_eq!(shown["authorisation"], said(&authorised)["authorisation"]);

    assert_eq!(world.capture(order).await.unwrap().outcome, Outcome::Done);
    assert_eq!(world.books(order), ["captured"]);
    assert_eq!(world.refund(order).await.unwrap().outcome, Outcome::Done);
    assert_eq!(world.books(order), ["refunded"]);
    assert_eq!(world.payment(order).await["status"], "refunded");
}

#[tokio::test]
async fn a_declined_card_is_refused_with_the_gateways_reason_and_needs_no_void() {
    let world = World::start().await;
    let order = order();
    let answered = world.authorise(order, "card_declined").await.unwrap();
    assert_eq!(answered.outcome, Outcome::Refused);
    assert_eq!(said(&answered), json!({ "reason": "card-declined" }));
    let shown = world.payment(order).await;
    assert_eq!((&shown["status"], &shown["reason"]), (&json!("declined"), &json!("card-declined")));
    assert_eq!(world.void(order).await.unwrap().outcome, Outcome::Done);
    assert!(world.books(order).is_empty());
    assert_eq!(world.payment(order).await["status"], "declined");
}

#[tokio::test]
async fn a_capture_that_the_gateway_refuses_is_refused_and_the_money_can_be_let_go() {
    let world = World::start().await;
    let order = order();
    world.authorise(order, "card_capture_fails").await.unwrap();
    let answered = world.capture(order).await.unwrap();
    assert_eq!(answered.outcome, Outcome::Refused);
    assert_eq!(said(&answered), json!({ "reason": "capture-refused" }));
    assert_eq!(world.void(order).await.unwrap().outcome, Outcome::Done);
    assert_eq!(world.books(order), ["voided"]);
    let shown = world.payment(order).await;
    assert_eq!((&shown["status"], &shown["reason"]), (&json!("voided"), &json!("capture-refused")));
}

#[tokio::test]
async fn a_call_that_took_effect_without_an_answer_is_found_by_its_key() {
    let world = World::start().await;
    let order = order();
    let answered = world.authorise(order, "card_timeout").await.unwrap();
    assert_eq!(answered.outcome, Outcome::Done);
    assert_eq!(world.books(order), ["authorised"]);
    assert_eq!(world.calls(), 2, "the first one hung");
}

#[tokio::test]
async fn a_gateway_that_stumbles_twice_is_asked_a_third_time() {
    let world = World::start().await;
    let order = order();
    let answered = world.authorise(order, "card_flaky").await.unwrap();
    assert_eq!(answered.outcome, Outcome::Done);
    assert_eq!(world.books(order), ["authorised"]);
}

#[tokio::test]
async fn a_gateway_that_is_down_is_a_transient_fault_and_nothing_is_recorded() {
    let world = World::start().await;
    let order = order();
    world.gateway("down").await;
    let fault = world.authorise(order, "card_ok").await.unwrap_err();
    assert!(fault.is_transient(), "{fault:?}");
    assert!(world.books(order).is_empty());
    assert_eq!(world.payment(order).await["status"], "authorising");
    world.gateway("ok").await;
    assert_eq!(world.authorise(order, "card_ok").await.unwrap().outcome, Outcome::Done);
    assert_eq!(world.books(order), ["authorised"]);
}

#[tokio::test]
async fn a_gateway_that_stays_down_opens_its_breaker() {
    let world = World::start().await;
    world.gateway("down").await;
    world.authorise(order(), "card_ok").await.unwrap_err();
    // Its calls open the circuit, and from then on it waits for the gateway to come back.
    let waiting = order();
    let bench = world.bench.clone();
    let held = tokio::spawn(async move { authorise(&bench, waiting, "card_ok").await });
    let mut state = world.bench.service.breaker.state();
    state.wait_for(|state| *state == BreakerState::Open).await.unwrap();
    world.gateway("ok").await;
    assert_eq!(held.await.unwrap().unwrap().outcome, Outcome::Done);
    assert_eq!(world.books(waiting), ["authorised"]);
}

#[tokio::test]
async fn a_command_that_comes_twice_calls_the_gateway_once() {
    let world = World::start().await;
    let order = order();
    let first = world.authorise(order, "card_ok").await.unwrap();
    let second = world.authorise(order, "card_ok").await.unwrap();
    assert!(second.duplicate);
    assert_eq!(said(&second), said(&first));
    assert_eq!(world.calls(), 1);
    world.capture(order).await.unwrap();
    assert!(world.capture(order).await.unwrap().duplicate);
    assert_eq!(world.calls(), 2);
}

#[tokio::test]
async fn killed_between_the_call_and_its_record_then_voided_no_money_stays_authorised() {
    let world = World::start().await;
    let order = order();
    world.bench.service.gateway.mute.store(true, Ordering::SeqCst);
    let bench = world.bench.clone();
    let killed = tokio::spawn(async move { authorise(&bench, order, "card_ok").await });
    eventually(PATIENCE, "the gateway to authorise", async || {
        anyhow::ensure!(world.books(order) == ["authorised"]);
        Ok(())
    })
    .await
    .unwrap();
    killed.abort();
    assert!(killed.await.unwrap_err().is_cancelled());
    world.bench.service.gateway.mute.store(false, Ordering::SeqCst);

    assert_eq!(world.void(order).await.unwrap().outcome, Outcome::Done);
    assert_eq!(world.books(order), ["voided"]);
    assert_eq!(world.payment(order).await["status"], "voided");
    let late = world.authorise(order, "card_ok").await.unwrap();
    assert_eq!(late.outcome, Outcome::Refused);
    assert_eq!(world.books(order), ["voided"]);
}

#[tokio::test]
async fn killed_between_the_call_and_its_record_then_sent_again_it_is_authorised_once() {
    let world = World::start().await;
    let order = order();
    world.bench.service.gateway.mute.store(true, Ordering::SeqCst);
    let bench = world.bench.clone();
    let killed = tokio::spawn(async move { authorise(&bench, order, "card_ok").await });
    eventually(PATIENCE, "the gateway to authorise", async || {
        anyhow::ensure!(world.books(order) == ["authorised"]);
        Ok(())
    })
    .await
    .unwrap();
    killed.abort();
    let _ = killed.await;
    world.bench.service.gateway.mute.store(false, Ordering::SeqCst);
    assert_eq!(world.authorise(order, "card_ok").await.unwrap().outcome, Outcome::Done);
    assert_eq!(world.books(order), ["authorised"]);
    assert_eq!(world.payment(order).await["status"], "authorised");
}

#[tokio::test]
async fn a_void_before_the_gateway_ever_saw_the_authorisation_keeps_it_out() {
    let world = World::start().await;
    let order = order();
    world.gateway("down").await;
    world.authorise(order, "card_ok").await.unwrap_err();
    world.gateway("ok").await;
    assert_eq!(world.void(order).await.unwrap().outcome, Outcome::Done);
    assert_eq!(world.books(order), ["voided"]);
    // The request that was still on its way arrives at last.
    let key = order.key("authorise-payment", contracts::Leg::Action);
    let wanted = Wanted { amount: 1299, currency: "EUR".to_owned(), method: "card_ok".to_owned() };
    let said = world.bench.service.gateway.authorise(&key, &wanted).await.unwrap();
    assert_eq!(said, Said::No("voided".to_owned()));
    assert_eq!(world.books(order), ["voided"]);
}

#[tokio::test]
async fn a_void_before_its_authorisation_leaves_the_gateway_alone_and_the_authorisation_is_refused()
{
    let world = World::start().await;
    let order = order();
    assert_eq!(world.void(order).await.unwrap().outcome, Outcome::Done);
    assert_eq!(world.authorise(order, "card_ok").await.unwrap().outcome, Outcome::Refused);
    assert_eq!(world.calls(), 0);
    assert!(world.books(order).is_empty());
}

#[tokio::test]
async fn a_void_of_captured_money_is_a_fault_that_no_retry_helps() {
    let world = World::start().await;
    let order = order();
    world.authorise(order, "card_ok").await.unwrap();
    world.capture(order).await.unwrap();
    let fault = world.void(order).await.unwrap_err();
    assert!(!fault.is_transient(), "{fault:?}");
    assert_eq!(world.books(order), ["captured"]);
    assert_eq!(world.payment(order).await["status"], "captured");
}

#[tokio::test]
async fn capturing_or_refunding_what_is_not_there_is_a_fault() {
    let world = World::start().await;
    let order = order();
    assert!(!world.capture(order).await.unwrap_err().is_transient());
    world.authorise(order, "card_ok").await.unwrap();
    assert!(!world.refund(order).await.unwrap_err().is_transient());
    assert_eq!(world.books(order), ["authorised"]);
}

#[tokio::test]
async fn payments_are_listed_by_order_in_pages_and_a_wrong_query_is_refused_by_its_field() {
    let world = World::start().await;
    let orders = [order(), order(), order()];
    for order in orders {
        world.authorise(order, "card_ok").await.unwrap();
    }
    let first = world.get("/api/v1/payments?limit=2").await;
    assert_eq!(first["items"].as_array().unwrap().len(), 2);
    assert_eq!(first["items"][0]["order_id"], json!(orders[2]));
    let next = first["next"].as_str().unwrap();
    let rest = world.get(&format!("/api/v1/payments?limit=2&cursor={next}")).await;
    assert_eq!(rest["items"][0]["order_id"], json!(orders[0]));
    assert_eq!(rest["next"], Value::Null);
    let one = world.get(&format!("/api/v1/payments?order_id={}", orders[1])).await;
    assert_eq!(one["items"].as_array().unwrap().len(), 1);
    for (query, field) in [("order_id=7", "order_id"), ("limit=0", "limit"), ("cursor=x", "cursor")]
    {
        let problem = world.get(&format!("/api/v1/payments?{query}")).await;
        assert_eq!(problem["status"], 422, "{problem}");
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
    assert_eq!(world.get(&format!("/api/v1/payments/{}", order())).await["status"], 404);
    assert_eq!(world.get("/api/v1/payments/nonsense").await["status"], 404);
}

fn order() -> SagaId {
    SagaId(uuid::Uuid::now_v7())
}

fn said(answered: &Answered) -> Value {
    serde_json::from_str(&answered.body).unwrap()
}

/// The service on its bench, the simulated gateway, and the service's routes.
struct World {
    bench: Arc<Bench<Payment<Tapped>>>,
    simulator: Simulator,
    gateway: String,
    rest: String,
    client: reqwest::Client,
    _database: ScratchDb,
}

impl World {
    async fn start() -> World {
        let database = ScratchDb::of("payment", &MIGRATOR).await.unwrap();
        let simulator = Simulator::open(None).unwrap();
        let gateway = serve(simulator.clone().router()).await;
        let rest = serve(api::router(database.pool().clone())).await;
        let client = http_client::client().unwrap();
        let http = HttpGateway::new(&format!("{gateway}/gateway")).unwrap();
        let payment = Payment {
            gateway: Tapped { http, calls: AtomicU32::new(0), mute: AtomicBool::new(false) },
            breaker: Breaker::new("gateway", BreakerPolicy::default()),
            time_limit: Duration::from_millis(1500),
        };
        let worker = Worker::new("payment", payment)
            .pair_outside::<AuthorisePayment, VoidPayment>()
            .outside::<CapturePayment>()
            .outside::<RefundPayment>();
        let bench = Arc::new(Bench::of(worker, database.pool().clone()));
        World { bench, simulator, gateway, rest, client, _database: database }
    }

    async fn authorise(&self, order: SagaId, method: &str) -> Result<Answered, Fault> {
        authorise(&self.bench, order, method).await
    }

    async fn void(&self, order: SagaId) -> Result<Answered, Fault> {
        self.bench.undo(order, "authorise-payment", &VoidPayment { order }).await
    }

    async fn capture(&self, order: SagaId) -> Result<Answered, Fault> {
        self.bench.act(order, "capture-payment", &CapturePayment { order }).await
    }

    async fn refund(&self, order: SagaId) -> Result<Answered, Fault> {
        self.bench.act(order, "refund-payment", &RefundPayment { order }).await
    }

    /// The statuses of all that the gateway holds for the order.
    fn books(&self, order: SagaId) -> Vec<String> {
        let ledger = self.simulator.ledger();
        let records = ledger.authorisations();
        let own = records.filter(|record| record.key.starts_with(&order.to_string()));
        own.map(|record| json!(record.status).as_str().unwrap().to_owned()).collect()
    }

    fn calls(&self) -> u32 {
        self.bench.service.gateway.calls.load(Ordering::SeqCst)
    }

    async fn gateway(&self, mode: &str) {
        let url = format!("{}/admin/faults", self.gateway);
        let fault = json!({ "target": "gateway", "mode": mode });
        let response = self.client.put(url).json(&fault).send().await.unwrap();
        assert_eq!(response.status(), 200);
    }

    async fn get(&self, path: &str) -> Value {
        let response = self.client.get(format!("{}{path}", self.rest)).send().await.unwrap();
        response.json().await.unwrap()
    }

    async fn payment(&self, order: SagaId) -> Value {
        self.get(&format!("/api/v1/payments/{order}")).await
    }
}

async fn authorise(
    bench: &Bench<Payment<Tapped>>,
    order: SagaId,
    method: &str,
) -> Result<Answered, Fault> {
    let amount = Money::new(1299, Currency::new("EUR").unwrap());
    let command = AuthorisePayment { order, amount, payment_method: method.to_owned() };
    bench.act(order, "authorise-payment", &command).await
}

async fn serve(router: axum::Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    base
}

/// The real adapter, with a count of its calls; while mute it keeps the gateway's answers to
/// itself, as a process does that dies before it hears them.
struct Tapped {
    http: HttpGateway,
    calls: AtomicU32,
    mute: AtomicBool,
}

impl Tapped {
    async fn tap<T>(&self, call: impl Future<Output = T>) -> T {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let answer = call.await;
        if self.mute.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        answer
    }
}

impl Gateway for Tapped {
    async fn authorise(&self, key: &str, wanted: &Wanted) -> Result<Said<Authorised>, Error> {
        self.tap(self.http.authorise(key, wanted)).await
    }

    async fn capture(&self, key: &str, authorisation_key: &str) -> Result<Said<()>, Error> {
        self.tap(self.http.capture(key, authorisation_key)).await
    }

    async fn void(&self, key: &str, authorisation_key: &str) -> Result<(), Error> {
        self.tap(self.http.void(key, authorisation_key)).await
    }

    async fn refund(&self, key: &str, authorisation_key: &str) -> Result<(), Error> {
        self.tap(self.http.refund(key, authorisation_key)).await
    }
}
