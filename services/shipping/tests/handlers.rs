//! What becomes of parcels: the handlers on a real database, against the simulated carrier, whose
//! ledger is the truth.

#![allow(clippy::unwrap_used)]

use contracts::{
    Leg, Outcome, SagaId,
    inventory::Line,
    shipping::{Address, BookShipment, CancelShipment},
};
use runtime::{
    http_client,
    resilience::{Breaker, BreakerPolicy},
};
use serde_json::{Value, json};
use shipping::{
    MIGRATOR, Shipping, api,
    carrier::{Carrier, Error, HttpCarrier, Said, Wanted},
};
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
async fn a_parcel_is_booked_once_and_cancelled() {
    let world = World::start().await;
    let order = order();
    let booked = world.book(order, "DE").await.unwrap();
    assert_eq!(booked.outcome, Outcome::Done);
    assert!(world.book(order, "DE").await.unwrap().duplicate);
    assert_eq!(world.calls(), 1);
    assert_eq!(world.books(order), ["booked"]);
    let shown = world.shipment(order).await;
    assert_eq!(shown["status"], "booked");
    assert_eq!(shown["tracking"], said(&booked)["tracking"]);
    assert_eq!(shown["ship_to"], json!({ "country": "DE", "city": "Berlin" }));
    assert_eq!(shown["lines"], json!([{ "product_id": "prod_001", "quantity": 2 }]));

    assert_eq!(world.cancel(order).await.unwrap().outcome, Outcome::Done);
    assert!(world.cancel(order).await.unwrap().duplicate);
    assert_eq!(world.books(order), ["cancelled"]);
    assert_eq!(world.shipment(order).await["status"], "cancelled");
}

#[tokio::test]
async fn an_undeliverable_parcel_is_refused_with_the_carriers_reason_and_needs_no_undo() {
    let world = World::start().await;
    let order = order();
    let answered = world.book(order, "XX").await.unwrap();
    assert_eq!(answered.outcome, Outcome::Refused);
    assert_eq!(said(&answered), json!({ "reason": "undeliverable" }));
    let shown = world.shipment(order).await;
    assert_eq!((&shown["status"], &shown["reason"]), (&json!("refused"), &json!("undeliverable")));
    assert_eq!(world.cancel(order).await.unwrap().outcome, Outcome::Done);
    assert!(world.books(order).is_empty());
}

#[tokio::test]
async fn a_carrier_that_is_down_is_a_transient_fault_and_nothing_is_recorded() {
    let world = World::start().await;
    let order = order();
    world.carrier(json!({ "target": "carrier", "mode": "down" })).await;
    assert!(world.book(order, "DE").await.unwrap_err().is_transient());
    assert!(world.books(order).is_empty());
    assert_eq!(world.shipment(order).await["status"], "booking");
    world.carrier(json!({ "target": "carrier", "mode": "ok" })).await;
    assert_eq!(world.book(order, "DE").await.unwrap().outcome, Outcome::Done);
}

#[tokio::test]
async fn a_carrier_that_does_not_answer_is_a_transient_fault() {
    let world = World::start().await;
    world.carrier(json!({ "target": "carrier", "mode": "hang" })).await;
    assert!(world.book(order(), "DE").await.unwrap_err().is_transient());
}

#[tokio::test]
async fn killed_between_the_call_and_its_record_then_cancelled_no_parcel_stays_booked() {
    let world = World::start().await;
    let order = order();
    world.bench.service.carrier.mute.store(true, Ordering::SeqCst);
    let bench = world.bench.clone();
    let killed = tokio::spawn(async move { book(&bench, order, "DE").await });
    eventually(PATIENCE, "the carrier to book", async || {
        anyhow::ensure!(world.books(order) == ["booked"]);
        Ok(())
    })
    .await
    .unwrap();
    killed.abort();
    assert!(killed.await.unwrap_err().is_cancelled());
    world.bench.service.carrier.mute.store(false, Ordering::SeqCst);

    assert_eq!(world.cancel(order).await.unwrap().outcome, Outcome::Done);
    assert_eq!(world.books(order), ["cancelled"]);
    assert_eq!(world.shipment(order).await["status"], "cancelled");
    assert_eq!(world.book(order, "DE").await.unwrap().outcome, Outcome::Refused);
    assert_eq!(world.books(order), ["cancelled"]);
}

#[tokio::test]
async fn a_cancellation_before_the_carrier_ever_saw_the_parcel_keeps_it_out() {
    let world = World::start().await;
    let order = order();
    world.carrier(json!({ "target": "carrier", "mode": "down" })).await;
    world.book(order, "DE").await.unwrap_err();
    world.carrier(json!({ "target": "carrier", "mode": "ok" })).await;
    assert_eq!(world.cancel(order).await.unwrap().outcome, Outcome::Done);
    // The request that was still on its way arrives at last.
    let key = order.key("book-shipment", Leg::Action);
    let wanted = Wanted { ship_to: address("DE"), lines: Vec::new() };
    let late = world.bench.service.carrier.book(&key, &wanted).await.unwrap();
    assert_eq!(late, Said::No("cancelled".to_owned()));
    assert_eq!(world.books(order), ["cancelled"]);
}

#[tokio::test]
async fn a_cancellation_before_its_booking_leaves_the_carrier_alone_and_the_booking_is_refused() {
    let world = World::start().await;
    let order = order();
    assert_eq!(world.cancel(order).await.unwrap().outcome, Outcome::Done);
    assert_eq!(world.book(order, "DE").await.unwrap().outcome, Outcome::Refused);
    assert_eq!(world.calls(), 0);
    assert!(world.books(order).is_empty());
}

#[tokio::test]
async fn shipments_are_listed_by_order_in_pages() {
    let world = World::start().await;
    let orders = [order(), order()];
    for order in orders {
        world.book(order, "DE").await.unwrap();
    }
    let first = world.get("/api/v1/shipments?limit=1").await;
    assert_eq!(first["items"][0]["order_id"], json!(orders[1]));
    let next = first["next"].as_str().unwrap();
    let rest = world.get(&format!("/api/v1/shipments?limit=1&cursor={next}")).await;
    assert_eq!(rest["items"][0]["order_id"], json!(orders[0]));
    assert_eq!(rest["next"], Value::Null);
    let one = world.get(&format!("/api/v1/shipments?order_id={}", orders[0])).await;
    assert_eq!(one["items"].as_array().unwrap().len(), 1);
    let problem = world.get("/api/v1/shipments?order_id=7").await;
    assert_eq!(problem["errors"][0]["field"], "order_id", "{problem}");
}

fn order() -> SagaId {
    SagaId(uuid::Uuid::now_v7())
}

fn said(answered: &Answered) -> Value {
    serde_json::from_str(&answered.body).unwrap()
}

fn address(country: &str) -> Address {
    Address {
        name: None,
        street: None,
        city: Some("Berlin".to_owned()),
        postal_code: None,
        country: country.to_owned(),
    }
}

/// The service on its bench, the simulated carrier, and the service's routes.
struct World {
    bench: Arc<Bench<Shipping<Tapped>>>,
    simulator: Simulator,
    outside: String,
    rest: String,
    client: reqwest::Client,
    _database: ScratchDb,
}

impl World {
    async fn start() -> World {
        let database = ScratchDb::of("shipping", &MIGRATOR).await.unwrap();
        let simulator = Simulator::open(None).unwrap();
        let outside = serve(simulator.clone().router()).await;
        let rest = serve(api::router(database.pool().clone())).await;
        let client = http_client::client().unwrap();
        let http = HttpCarrier::new(&format!("{outside}/carrier")).unwrap();
        let shipping = Shipping {
            carrier: Tapped { http, calls: AtomicU32::new(0), mute: AtomicBool::new(false) },
            breaker: Breaker::new("carrier", BreakerPolicy::default()),
            time_limit: Duration::from_millis(1000),
        };
        let worker =
            Worker::new("shipping", shipping).pair_outside::<BookShipment, CancelShipment>();
        let bench = Arc::new(Bench::of(worker, database.pool().clone()));
        World { bench, simulator, outside, rest, client, _database: database }
    }

    async fn book(&self, order: SagaId, country: &str) -> Result<Answered, Fault> {
        book(&self.bench, order, country).await
    }

    async fn cancel(&self, order: SagaId) -> Result<Answered, Fault> {
        self.bench.undo(order, "book-shipment", &CancelShipment { order }).await
    }

    /// The statuses of all that the carrier holds for the order.
    fn books(&self, order: SagaId) -> Vec<String> {
        let ledger = self.simulator.ledger();
        let own = ledger.shipments().filter(|record| record.key.starts_with(&order.to_string()));
        own.map(|record| json!(record.status).as_str().unwrap().to_owned()).collect()
    }

    fn calls(&self) -> u32 {
        self.bench.service.carrier.calls.load(Ordering::SeqCst)
    }

    async fn carrier(&self, fault: Value) {
        let url = format!("{}/admin/faults", self.outside);
        let response = self.client.put(url).json(&fault).send().await.unwrap();
        assert_eq!(response.status(), 200);
    }

    async fn get(&self, path: &str) -> Value {
        let response = self.client.get(format!("{}{path}", self.rest)).send().await.unwrap();
        response.json().await.unwrap()
    }

    async fn shipment(&self, order: SagaId) -> Value {
        self.get(&format!("/api/v1/shipments/{order}")).await
    }
}

async fn book(
    bench: &Bench<Shipping<Tapped>>,
    order: SagaId,
    country: &str,
) -> Result<Answered, Fault> {
    let lines = vec![Line { product_id: "prod_001".to_owned(), quantity: 2 }];
    let command = BookShipment { order, ship_to: address(country), lines };
    bench.act(order, "book-shipment", &command).await
}

async fn serve(router: axum::Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    base
}

/// The real adapter, with a count of its calls; while mute it keeps the carrier's answers to
/// itself, as a process does that dies before it hears them.
struct Tapped {
    http: HttpCarrier,
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

impl Carrier for Tapped {
    async fn book(&self, key: &str, wanted: &Wanted) -> Result<Said, Error> {
        self.tap(self.http.book(key, wanted)).await
    }

    async fn cancel(&self, key: &str, shipment_key: &str) -> Result<(), Error> {
        self.tap(self.http.cancel(key, shipment_key)).await
    }
}
