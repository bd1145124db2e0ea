//! A virtual host for one test, and what tests ask the broker behind the back of the code.

use anyhow::{Context, Result, ensure};
use contracts::{CommandEnvelope, Leg, SagaId};
use lapin::{
    Channel, Connection, ConnectionProperties,
    options::{QueueDeclareOptions, QueueDeleteOptions},
    types::FieldTable,
};
use messaging::{Amqp, Consumer, Delivery, Publisher, Topology};
use reqwest::{Client, Method, Url};
use runtime::{config::Redacted, health::Health, shutdown::Shutdown};
use serde_json::{Value, json};
use std::{ops::AsyncFnMut, time::Duration};
use time::{Duration as Span, OffsetDateTime};
use tokio::time::{interval, timeout};

/// For anything that must happen; far beyond what it takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Scratch {
    name: String,
    broker: Url,
    management: Url,
    pub(crate) shutdown: Shutdown,
    pub(crate) health: Health,
}

impl Scratch {
    pub(crate) async fn new() -> Result<Scratch> {
        let variable = |name: &str| -> Result<Url> {
            let value = std::env::var(name).with_context(|| {
                format!(
                    "{name} is not set: these tests need a RabbitMQ and an administrator's login"
                )
            })?;
            value.parse().with_context(|| format!("{name} is not a URL"))
        };
        let scratch = Scratch {
            name: format!("messaging-{}", uuid::Uuid::new_v4().simple()),
            broker: variable("AMQP_URL")?,
            management: variable("RABBITMQ_MANAGEMENT_URL")?,
            shutdown: Shutdown::manual(),
            health: Health::new(),
        };
        scratch.manage(Method::PUT, &format!("vhosts/{}", scratch.name), json!({})).await?;
        scratch.permit(scratch.broker.username(), ".*").await?;
        Ok(scratch)
    }

    pub(crate) fn amqp(&self) -> Amqp {
        self.amqp_as(self.broker.username(), self.broker.password().unwrap_or_default())
    }

    pub(crate) fn amqp_as(&self, login: &str, password: &str) -> Amqp {
        let mut url = self.broker.clone();
        url.set_path(&self.name);
        url.set_username(login).expect("a broker's URL has room for a login");
        url.set_password(Some(password)).expect("and for a password");
        let amqp = Amqp::new(Redacted::new(url.to_string()), "tester");
        // A message for each command, so that tests can count them; `packing` is about packs.
        amqp.expect("the URL was one before").packing(0)
    }

    pub(crate) async fn prepared(topology: &Topology) -> Result<Scratch> {
        let scratch = Scratch::new().await?;
        messaging::prepare(&scratch.amqp(), topology, &scratch.shutdown).await?;
        Ok(scratch)
    }

    pub(crate) fn publisher(&self) -> Publisher {
        self.publisher_of(&self.amqp())
    }

    pub(crate) fn publisher_of(&self, amqp: &Amqp) -> Publisher {
        Publisher::start(amqp, self.health.part("publisher"), &self.shutdown)
    }

    pub(crate) fn consumer(&self, queue: &str, topology: Topology, prefetch: u16) -> Consumer {
        self.consumer_of(&self.amqp(), queue, topology, prefetch)
    }

    pub(crate) fn consumer_of(
        &self,
        amqp: &Amqp,
        queue: &str,
        topology: Topology,
        prefetch: u16,
    ) -> Consumer {
        let part = self.health.part(format!("consumer {queue}"));
        Consumer::start(amqp, queue, topology, prefetch, part, &self.shutdown)
    }

    /// A login that may declare nothing.
    pub(crate) async fn lowly(&self) -> Result<Amqp> {
        let login = format!("lowly-{}", self.name);
        let user = json!({ "password": "lowly", "tags": "" });
        self.manage(Method::PUT, &format!("users/{login}"), user).await?;
        self.permit(&login, "^$").await?;
        Ok(self.amqp_as(&login, "lowly"))
    }

    async fn permit(&self, login: &str, configure: &str) -> Result<()> {
        let rights = json!({ "configure": configure, "write": ".*", "read": ".*" });
        let path = format!("permissions/{}/{login}", self.name);
        self.manage(Method::PUT, &path, rights).await.map(drop)
    }

    /// Closes every connection whose name ends with `purpose`, as an administrator would. Answers
    /// how many there were.
    pub(crate) async fn cut(&self, purpose: &str) -> Result<usize> {
        let path = format!("vhosts/{}/connections", self.name);
        let mut cut = 0;
        for connection in
            self.manage(Method::GET, &path, Value::Null).await?.as_array().into_iter().flatten()
        {
            let given = connection["client_properties"]["connection_name"].as_str().unwrap_or("");
            if given.ends_with(purpose) {
                let name = connection["name"]
                    .as_str()
                    .unwrap_or("")
                    .replace(' ', "%20")
                    .replace('>', "%3E");
                self.manage(Method::DELETE, &format!("connections/{name}"), Value::Null).await?;
                cut += 1;
            }
        }
        Ok(cut)
    }

    pub(crate) async fn channel(&self) -> Result<Channel> {
        let url = self.amqp().url.expose().to_owned();
        let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
        Ok(connection.create_channel().await?)
    }

    pub(crate) async fn delete_queue(&self, queue: &str) -> Result<()> {
        let channel = self.channel().await?;
        channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await?;
        Ok(())
    }

    /// Waits until the queue holds exactly `wanted` messages ready to be delivered.
    pub(crate) async fn holds(&self, queue: &str, wanted: u32) -> Result<()> {
        let channel = self.channel().await?;
        eventually(&format!("{queue} holds {wanted}"), async || {
            let passive = QueueDeclareOptions { passive: true, ..Default::default() };
            let found = channel.queue_declare(queue.into(), passive, FieldTable::default()).await;
            found.is_ok_and(|found| found.message_count() == wanted)
        })
        .await
    }

    /// How many consume the queue, as a passive declare tells.
    pub(crate) async fn consumers(&self, queue: &str) -> Result<u32> {
        let passive = QueueDeclareOptions { passive: true, ..Default::default() };
        let channel = self.channel().await?;
        let found = channel.queue_declare(queue.into(), passive, FieldTable::default()).await?;
        Ok(found.consumer_count())
    }

    async fn manage(&self, method: Method, path: &str, body: Value) -> Result<Value> {
        manage(&runtime::http_client::client()?, &self.management, method, path, body).await
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.shutdown.begin();
        let (name, management) = (self.name.clone(), self.management.clone());
        // A runtime of its own: the test's may be unwinding.
        let removed = std::thread::spawn(move || -> Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let client = runtime::http_client::client()?;
                let paths = [format!("vhosts/{name}"), format!("users/lowly-{name}")];
                for path in paths {
                    // The login is there in one test only.
                    let _ = manage(&client, &management, Method::DELETE, &path, Value::Null).await;
                }
                Ok(())
            })
        });
        let _ = removed.join();
    }
}

async fn manage(
    client: &Client,
    management: &Url,
    method: Method,
    path: &str,
    body: Value,
) -> Result<Value> {
    let request = client.request(method, management.join(&format!("/api/{path}"))?);
    let request = if body.is_null() { request } else { request.json(&body) };
    let answer = request.send().await.context("the management API does not answer")?;
    let (status, text) = (answer.status(), answer.text().await?);
    ensure!(status.is_success(), "the management API answers {status} to {path}: {text}");
    Ok(serde_json::from_str(&text).unwrap_or_default())
}

pub(crate) async fn eventually(what: &str, mut check: impl AsyncFnMut() -> bool) -> Result<()> {
    let mut turns = interval(Duration::from_millis(20));
    let happened = async {
        while !check().await {
            turns.tick().await;
        }
    };
    timeout(PATIENCE, happened).await.with_context(|| format!("it never happened: {what}"))
}

/// A command number `number` of some saga to `participant`.
pub(crate) fn command(participant: &str, number: usize) -> CommandEnvelope {
    CommandEnvelope {
        saga: SagaId(uuid::Uuid::from_u128(number as u128)),
        definition: "place-order".to_owned(),
        step: "reserve-stock".to_owned(),
        leg: Leg::Action,
        attempt: 1,
        kind: format!("{participant}.reserve-stock"),
        deadline: OffsetDateTime::UNIX_EPOCH + Span::milliseconds(1_800_000_000_250),
        traceparent: None,
        body: format!(r#"{{"number":{number}}}"#).into_bytes(),
    }
}

/// The next batch, or a failure when there is none for too long.
pub(crate) async fn batch(consumer: &Consumer, max: usize) -> Result<Vec<Delivery>> {
    let batch = timeout(PATIENCE, consumer.next_batch(max)).await.context("no message came")?;
    batch.context("the consumer has ended")
}

/// Exactly `count` messages.
pub(crate) async fn deliveries(consumer: &Consumer, count: usize) -> Result<Vec<Delivery>> {
    let mut all = Vec::new();
    while all.len() < count {
        all.extend(batch(consumer, count - all.len()).await?);
    }
    Ok(all)
}
