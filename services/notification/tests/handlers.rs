//! What customers are told: the handler on a real database, with a mail server, a webhook and a
//! file that note what reaches them.

#![allow(clippy::unwrap_used)]

mod mailbox;

use contracts::{Currency, Money, Outcome, SagaId, notification::NotifyCustomer};
use mailbox::Mailbox;
use notification::{MIGRATOR, Notification, api, settings::Settings};
use runtime::{config::Redacted, http_client};
use serde_json::{Value, json};
use simulator::Simulator;
use std::{path::PathBuf, time::Duration};
use testkit::ScratchDb;
use worker::{Answered, Fault, Worker, testing::Bench};

#[tokio::test]
async fn a_stranger_is_told_by_mail_with_total_and_tracking() {
    let file = Scratch::new();
    let world = World::start(Settings { file: Some(file.0.clone()), ..nothing() }).await;
    let order = order();
    assert_eq!(world.notify(order, "cust_777").await.unwrap().outcome, Outcome::Done);
    let lines = file.lines();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["recipient"], "cust_777@example.test");
    assert_eq!(lines[0]["key"], format!("{order}/notify-customer/action/email"));
    let body = lines[0]["body"].as_str().unwrap();
    assert!(body.contains("12.99 EUR") && body.contains("TRK42"), "{body}");

    let listed = world.list(order).await;
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0]["status"], &listed[0]["channel"]), (&json!("sent"), &json!("email")));
    assert!(listed[0]["sent_at"].is_string());
}

#[tokio::test]
async fn a_customer_is_told_by_every_channel_of_theirs_and_once() {
    let file = Scratch::new();
    let world = World::start(Settings { file: Some(file.0.clone()), ..nothing() }).await;
    let order = order();
    world.notify(order, "cust_everywhere").await.unwrap();
    assert!(world.notify(order, "cust_everywhere").await.unwrap().duplicate);
    let recipients: Vec<_> = file.lines().iter().map(|line| line["recipient"].clone()).collect();
    assert_eq!(recipients, ["edsger@example.test", "+491700000002", "device-edsger-1"]);
    assert_eq!(world.list(order).await.len(), 3);
}

#[tokio::test]
async fn mail_goes_by_smtp_under_an_id_that_stays_the_same() {
    let mailbox = Mailbox::start().await;
    let world = World::start(Settings { smtp_url: Some(mailbox.url()), ..nothing() }).await;
    let order = order();
    world.notify(order, "cust_123").await.unwrap();
    let mails = mailbox.mails();
    assert_eq!(mails.len(), 1);
    let mail = &mails[0];
    let id = format!("Message-ID: <{order}/notify-customer/action/email@example.test>");
    for wanted in [&id, "From: Shop <shop@example.test>", "To: ada@example.test", "12.99 EUR"] {
        assert!(mail.contains(wanted), "{wanted} is not in:\n{mail}");
    }
}

#[tokio::test]
async fn a_mail_server_that_is_away_is_a_transient_fault_and_nothing_counts_as_sent() {
    let mailbox = Mailbox::start().await;
    let url = mailbox.url();
    mailbox.close().await;
    let world = World::start(Settings { smtp_url: Some(url), ..nothing() }).await;
    let order = order();
    assert!(world.notify(order, "cust_123").await.unwrap_err().is_transient());
    assert_eq!(world.list(order).await[0]["status"], "sending");
}

#[tokio::test]
async fn a_mail_server_that_says_nothing_is_a_transient_fault() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Redacted::new(format!("smtp://{}", silent.local_addr().unwrap()));
    let time_limit = Duration::from_millis(200);
    let world = World::start(Settings { smtp_url: Some(url), time_limit, ..nothing() }).await;
    assert!(world.notify(order(), "cust_123").await.unwrap_err().is_transient());
}

#[tokio::test]
async fn text_messages_and_pushes_go_to_the_webhook_with_their_keys() {
    let (simulator, base) = outside().await;
    let webhook_url = Some(Redacted::new(format!("{base}/webhook")));
    let world = World::start(Settings { webhook_url, ..nothing() }).await;
    let order = order();
    world.notify(order, "cust_everywhere").await.unwrap();
    let ledger = simulator.ledger();
    let came: Vec<_> = ledger.receptions().collect();
    let keys: Vec<_> = came.iter().map(|reception| reception.key.clone()).collect();
    let key = |channel| format!("{order}/notify-customer/action/{channel}");
    assert_eq!(keys, [key("sms"), key("push")]);
    assert_eq!(came[0].body["recipient"], "+491700000002");
    assert!(came[0].body["body"].as_str().unwrap().contains("TRK42"));
}

#[tokio::test]
async fn a_webhook_that_is_down_does_not_repeat_the_mail_that_has_left() {
    let (simulator, base) = outside().await;
    let mailbox = Mailbox::start().await;
    let world = World::start(Settings {
        smtp_url: Some(mailbox.url()),
        webhook_url: Some(Redacted::new(format!("{base}/webhook"))),
        ..nothing()
    })
    .await;
    let order = order();
    fault(&base, "down").await;
    assert!(world.notify(order, "cust_mail_sms").await.unwrap_err().is_transient());
    fault(&base, "ok").await;
    assert_eq!(world.notify(order, "cust_mail_sms").await.unwrap().outcome, Outcome::Done);
    assert_eq!(mailbox.mails().len(), 1);
    assert_eq!(simulator.ledger().receptions().count(), 1);
    assert!(world.list(order).await.iter().all(|item| item["status"] == "sent"));
}

#[tokio::test]
async fn a_wrong_query_is_refused_by_its_field() {
    let world = World::start(nothing()).await;
    for (query, field) in [("order_id=7", "order_id"), ("limit=x", "limit"), ("cursor=x", "cursor")]
    {
        let problem = world.get(&format!("/api/v1/notifications?{query}")).await;
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
}

#[test]
fn settings_that_cannot_work_are_refused_at_the_start() {
    for settings in [
        Settings { smtp_url: Some(Redacted::new("http://host")), ..nothing() },
        Settings {
            smtp_url: Some(Redacted::new("smtp://host")),
            smtp_from: "nobody".to_owned(),
            ..nothing()
        },
        Settings { webhook_url: Some(Redacted::new("ftp://host")), ..nothing() },
    ] {
        assert!(Notification::new(settings.clone()).is_err(), "{settings:?}");
    }
}

/// Neither mail server nor webhook nor file: the log.
fn nothing() -> Settings {
    Settings {
        smtp_url: None,
        smtp_from: "Shop <shop@example.test>".to_owned(),
        webhook_url: None,
        file: None,
        time_limit: Duration::from_secs(3),
    }
}

fn order() -> SagaId {
    SagaId(uuid::Uuid::now_v7())
}

/// The service on its bench, and its routes.
struct World {
    bench: Bench<Notification>,
    rest: String,
    client: reqwest::Client,
    _database: ScratchDb,
}

impl World {
    async fn start(settings: Settings) -> World {
        let database = ScratchDb::of("notification", &MIGRATOR).await.unwrap();
        let rest = serve(api::router(database.pool().clone())).await;
        let service = Notification::new(settings).unwrap();
        let worker = Worker::new("notification", service).outside::<NotifyCustomer>();
        let bench = Bench::of(worker, database.pool().clone());
        World { bench, rest, client: http_client::client().unwrap(), _database: database }
    }

    async fn notify(&self, order: SagaId, customer_id: &str) -> Result<Answered, Fault> {
        let command = NotifyCustomer {
            order,
            customer_id: customer_id.to_owned(),
            total: Money::new(1299, Currency::new("EUR").unwrap()),
            tracking: Some("TRK42".to_owned()),
        };
        self.bench.act(order, "notify-customer", &command).await
    }

    async fn get(&self, path: &str) -> Value {
        let response = self.client.get(format!("{}{path}", self.rest)).send().await.unwrap();
        response.json().await.unwrap()
    }

    async fn list(&self, order: SagaId) -> Vec<Value> {
        let page = self.get(&format!("/api/v1/notifications?order_id={order}")).await;
        page["items"].as_array().unwrap().clone()
    }
}

async fn serve(router: axum::Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    base
}

async fn outside() -> (Simulator, String) {
    let simulator = Simulator::open(None).unwrap();
    let base = serve(simulator.clone().router()).await;
    (simulator, base)
}

async fn fault(base: &str, mode: &str) {
    let fault = json!({ "target": "webhook", "mode": mode });
    let call = http_client::client().unwrap().put(format!("{base}/admin/faults")).json(&fault);
    assert_eq!(call.send().await.unwrap().status(), 200);
}

/// A file of its own, gone when the test ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        let name = format!("notifications-{}.jsonl", uuid::Uuid::new_v4());
        Scratch(std::env::temp_dir().join(name))
    }

    fn lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.0).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
