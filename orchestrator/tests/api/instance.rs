//! An orchestrator's API that listens, and a participant's part played by the test.

use anyhow::{Context, Result, ensure};
use contracts::{CommandEnvelope, Outcome, ReplyEnvelope, SagaId, StartEnvelope};
use messaging::{Amqp, Publisher};
use orchestrator::{
    MIGRATOR,
    api::{self, Desk, participants::Participants},
    dead_letters::{Office, Settings},
    engine::{Engine, Occurrence},
    sending::Sender,
};
use reqwest::{Client, Method};
use runtime::{config::Redacted, health::Health, http, shutdown::Shutdown};
use saga_core::Patience;
use serde_json::{Value, json};
use std::{net::Ipv4Addr, sync::Arc, time::Duration};
use testkit::{PATIENCE, ScratchDb, ScratchVhost, eventually};
use tokio::task::JoinHandle;
use uuid::Uuid;

pub struct Instance {
    pub engine: Engine,
    pub url: String,
    pub client: Client,
    shutdown: Shutdown,
    server: JoinHandle<()>,
    database: ScratchDb,
    vhost: ScratchVhost,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub kind: String,
    pub body: Value,
}

impl Instance {
    /// Sagas wait a millisecond for each answer, twice: whoever is silent is soon parked.
    pub async fn start() -> Result<Self> {
        let database = ScratchDb::of("orchestrator", &MIGRATOR).await?;
        let vhost = ScratchVhost::create().await?;
        let catalogue = sagas::catalogue(Patience::of(Duration::from_millis(1), 2));
        let engine = Engine::over(database.pool().clone(), Arc::new(catalogue));
        let shutdown = Shutdown::manual();
        let health = Health::new();
        let url: Redacted = vhost.url().parse().map_err(anyhow::Error::msg)?;
        let amqp = Amqp::new(url, "orchestrator")?;
        let publisher = Publisher::start(&amqp, health.part("publisher"), &shutdown);
        let sender = Sender { publisher: publisher.clone(), shutdown: shutdown.clone() };
        let participants = Participants::new(amqp, "")?;
        let settings = Settings { owners: Vec::new(), patience: PATIENCE };
        let office = Office::new(&settings, engine.clone(), publisher, shutdown.clone());
        let router = api::router(Desk::new(engine.clone(), sender, participants), office);
        let listener = http::listen(Ipv4Addr::LOCALHOST.into(), 0).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let limits = http::Limits { drain: Duration::from_secs(1), ..http::Limits::default() };
        let serving = http::serve_on(listener, router, health, shutdown.clone(), limits);
        let server = tokio::spawn(serving);
        let client = runtime::http_client::client()?;
        Ok(Instance { engine, url, client, shutdown, server, database, vhost })
    }

    /// The queues of a participant, which nobody reads.
    pub async fn declare(&self, participant: &'static str) -> Result<()> {
        let url: Redacted = self.vhost.url().parse().map_err(anyhow::Error::msg)?;
        let amqp = Amqp::new(url, participant)?;
        let topology = messaging::Topology::participant(participant);
        Ok(messaging::prepare(&amqp, &topology, &self.shutdown).await?)
    }

    /// As the role that owns the tables.
    pub fn owner_url(&self) -> &str {
        self.database.owner_url()
    }

    pub async fn stop(self) -> Result<()> {
        self.shutdown.begin();
        tokio::time::timeout(PATIENCE, self.server).await??;
        Ok(())
    }

    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.timeout(PATIENCE).send().await?;
        let status = answer.status().as_u16();
        let kind = answer.headers().get("content-type");
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
        let text = answer.text().await?;
        let body = serde_json::from_str(&text).with_context(|| format!("{path}: {text}"))?;
        Ok(Answer { status, kind, body })
    }

    pub async fn get(&self, path: &str) -> Result<Value> {
        let answer = self.ask(Method::GET, path, None).await?;
        ensure!(answer.status == 200, "{path}: {answer:?}");
        Ok(answer.body)
    }

    pub async fn post(&self, path: &str, body: Value) -> Result<Answer> {
        self.ask(Method::POST, path, Some(&body)).await
    }

    /// Asks a verb of a saga, with a reason.
    pub async fn verb(&self, saga: SagaId, verb: &str, more: Value) -> Result<Answer> {
        let mut body = json!({ "reason": "a test wants it", "by": "night shift" });
        if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
            body.extend(more);
        }
        self.post(&format!("/api/v1/sagas/{saga}/{verb}"), body).await
    }

    pub async fn begin(&self, customer: &str) -> Result<CommandEnvelope> {
        let input = json!({
            "customer_id": customer,
            "lines": [{ "product_id": "prod_001", "quantity": 1 }],
            "total": { "amount": 1290, "currency": "EUR" },
            "payment_method": "card_ok",
            "ship_to": { "country": "DE" },
        });
        let start = StartEnvelope {
            saga: SagaId(Uuid::now_v7()),
            definition: "place-order".into(),
            traceparent: None,
            body: input.to_string().into_bytes(),
        };
        self.one(Occurrence::Start(start)).await
    }

    /// A saga that waits for the answer to this command.
    pub async fn until(&self, kind: &str) -> Result<CommandEnvelope> {
        let mut command = self.begin("cust_1").await?;
        while command.kind != kind {
            command = self.done(&command).await?;
        }
        Ok(command)
    }

    /// The command is done; gives the one that follows.
    pub async fn done(&self, command: &CommandEnvelope) -> Result<CommandEnvelope> {
        let body = match command.kind.as_str() {
            "payment.authorise" => json!({ "authorisation": "auth_1" }),
            "shipping.book" => json!({ "tracking": "track_1" }),
            _ => Value::Null,
        };
        let body = body.to_string().into_bytes();
        self.one(Occurrence::Reply(ReplyEnvelope::to(command, Outcome::Done, body))).await
    }

    async fn one(&self, occurrence: Occurrence) -> Result<CommandEnvelope> {
        let mut advanced = self.engine.advance(&[occurrence]).await?;
        advanced.commands.pop().context("a command follows")
    }

    /// Nobody answers until it is parked.
    pub async fn silence(&self, saga: SagaId) -> Result<()> {
        eventually(PATIENCE, "the saga to be parked", async || {
            self.engine.advance(&[Occurrence::Wake(saga)]).await?;
            let saga = self.get(&format!("/api/v1/sagas/{saga}")).await?;
            ensure!(!saga["parked"].is_null(), "not yet");
            Ok(())
        })
        .await
    }
}
