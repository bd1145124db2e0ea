//! Orchestrators without their engines, and a participant that does as it is told: on a real broker
//! with the orchestrator's own login, and a real journal.

use anyhow::{Context, Result, ensure};
use contracts::{CommandEnvelope, Leg, Outcome, ReplyEnvelope, SagaId, StartEnvelope};
use messaging::{
    Amqp, Consumer, DeadReason, Delivery, Incoming, Outgoing, Publisher, Topology, command_queue,
};
use orchestrator::{
    MIGRATOR,
    dead_letters::{Office, Settings, listing, listing::Filter, listing::Progress, verbs::Why},
    engine::{Engine, Occurrence},
};
use runtime::{config::Redacted, health::Health, shutdown::Shutdown};
use saga_core::Patience;
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};
use testkit::{PATIENCE, ScratchDb, ScratchVhost, eventually};
use tokio::task::JoinHandle;
use uuid::Uuid;

pub const STOCK: &str = "inventory";
const PARTICIPANTS: [&str; 5] = ["order", STOCK, "payment", "shipping", "notification"];

/// What inventory is told to do with the commands of a saga.
#[derive(Clone, Default)]
pub struct Told {
    /// Die of them again.
    pub dies: Arc<Mutex<BTreeSet<SagaId>>>,
    /// How often each message came.
    pub came: Arc<Mutex<BTreeMap<String, usize>>>,
}

pub struct World {
    pub engine: Engine,
    pub database: ScratchDb,
    pub vhost: ScratchVhost,
    pub told: Told,
    pub publisher: Publisher,
    admin: Amqp,
    shutdown: Shutdown,
}

/// One orchestrator's dealing with dead letters.
pub struct Running {
    pub office: Office,
    shutdown: Shutdown,
    task: JoinHandle<()>,
}

impl Running {
    pub async fn stop(self) -> Result<()> {
        self.shutdown.begin();
        tokio::time::timeout(PATIENCE, self.task).await??;
        Ok(())
    }
}

impl World {
    pub async fn new() -> Result<World> {
        let database = ScratchDb::of("orchestrator", &MIGRATOR).await?;
        let vhost = ScratchVhost::with_logins().await?;
        let catalogue = Arc::new(sagas::catalogue(Patience::default()));
        let engine = Engine::over(database.pool().clone(), catalogue);
        let admin = Amqp::new(Redacted::new(vhost.url()), "test")?;
        let shutdown = Shutdown::manual();
        messaging::prepare(&admin, &Topology::orchestrator(), &shutdown).await?;
        for participant in PARTICIPANTS {
            let topology = Topology::participant(participant);
            messaging::prepare(&admin, &topology, &shutdown).await?;
        }
        let publisher = Publisher::start(&admin, Health::new().part("publisher"), &shutdown);
        let told = Told::default();
        Ok(World { engine, database, vhost, told, publisher, admin, shutdown })
    }

    /// With the orchestrator's own rights.
    pub async fn office(&self, patience: Duration) -> Result<Running> {
        let amqp = Amqp::new(Redacted::new(self.vhost.url_of("orchestrator")?), "orchestrator")?;
        let shutdown = Shutdown::manual();
        let publisher = Publisher::start(&amqp, Health::new().part("publisher"), &shutdown);
        let settings = Settings { owners: Vec::new(), patience };
        let office = Office::new(&settings, self.engine.clone(), publisher, shutdown.clone());
        let task = tokio::spawn(office.clone().run(amqp));
        Ok(Running { office, shutdown, task })
    }

    /// Inventory, until the world ends.
    pub fn inventory(&self) {
        let (part, queue) = (Health::new().part(STOCK), command_queue(STOCK));
        let topology = Topology::participant(STOCK);
        let consumer = Consumer::start(&self.admin, queue, topology, 500, part, &self.shutdown);
        let (engine, told) = (self.engine.clone(), self.told.clone());
        let (publisher, shutdown) = (self.publisher.clone(), self.shutdown.clone());
        tokio::spawn(async move {
            while let Some(batch) = consumer.next_batch(200).await {
                let (mut replies, mut letters) = (Vec::new(), Vec::new());
                for delivery in &batch {
                    let message = &delivery.incoming;
                    let Ok(command) = message.command() else { continue };
                    let came = &mut *told.came.lock().unwrap();
                    *came.entry(message.message_id().to_owned()).or_default() += 1;
                    if told.dies.lock().unwrap().contains(&command.saga) {
                        letters.push(dead(message, "again"));
                    } else {
                        replies.push(done(&command));
                    }
                }
                let sent = publisher.send_until_confirmed(&letters, &shutdown).await;
                if sent.is_err() || engine.advance(&replies).await.is_err() {
                    break;
                }
                Delivery::ack_all(batch).await;
            }
        });
    }

    /// So many sagas that wait for their stock.
    pub async fn waiting(&self, count: usize) -> Result<Vec<CommandEnvelope>> {
        let starts: Vec<_> = (0..count).map(|_| start()).collect();
        let opened = self.engine.advance(&starts).await?.commands;
        let replies: Vec<_> = opened.iter().map(done).collect();
        let commands = self.engine.advance(&replies).await?.commands;
        ensure!(commands.len() == count && commands[0].kind == "inventory.reserve-stock");
        Ok(commands)
    }

    /// What their commands became, in their queue.
    pub async fn bury(&self, commands: &[CommandEnvelope]) -> Result<()> {
        let letters: Vec<_> = commands.iter().map(letter_of).collect();
        self.send(&letters).await
    }

    pub async fn send(&self, messages: &[Outgoing]) -> Result<()> {
        for some in messages.chunks(500) {
            self.publisher.send_until_confirmed(some, &self.shutdown).await?;
        }
        Ok(())
    }

    /// Letters by state.
    pub async fn states(&self) -> Result<BTreeMap<String, i64>> {
        let rows: Vec<(String, i64)> =
            sqlx::query_as("SELECT state, count(*) FROM dead_letter GROUP BY state")
                .fetch_all(self.database.pool())
                .await?;
        Ok(rows.into_iter().collect())
    }

    /// Until there are so many letters in this state.
    pub async fn wait(&self, state: &str, count: i64) -> Result<()> {
        eventually(PATIENCE, &format!("{count} letters to be {state}"), async || {
            let states = self.states().await?;
            ensure!(states.get(state).copied().unwrap_or_default() == count, "{states:?}");
            Ok(())
        })
        .await
    }

    pub async fn id_of(&self, command: &CommandEnvelope) -> Result<Uuid> {
        let found = sqlx::query_scalar("SELECT id FROM dead_letter WHERE message_id = $1")
            .bind(command.message_id())
            .fetch_optional(self.database.pool())
            .await?;
        found.context("no such letter")
    }

    pub async fn number(&self, sql: &'static str) -> Result<i64> {
        Ok(sqlx::query_scalar(sql).fetch_one(self.database.pool()).await?)
    }

    /// Until a replay of many is over.
    pub async fn over(&self, replay: Uuid) -> Result<Progress> {
        eventually(PATIENCE, "the replay to be over", async || {
            let progress = listing::progress(self.database.pool(), replay).await?;
            let progress = progress.context("no such replay")?;
            ensure!(progress.state != "running", "{progress:?}");
            Ok(progress)
        })
        .await
    }

    /// How often each message came to inventory, the most first.
    pub fn came(&self) -> (usize, usize) {
        let came = self.told.came.lock().unwrap();
        (came.len(), came.values().copied().max().unwrap_or_default())
    }

    pub fn dies(&self, command: &CommandEnvelope) {
        self.told.dies.lock().unwrap().insert(command.saga);
    }

    pub fn lives(&self) {
        self.told.dies.lock().unwrap().clear();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.begin();
    }
}

pub fn why() -> Why {
    Why { reason: "the shelf is back".to_owned(), by: Some("ada".to_owned()) }
}

pub fn all_of_inventory() -> Filter {
    Filter { participant: Some(STOCK.to_owned()), ..Filter::default() }
}

pub fn done(command: &CommandEnvelope) -> Occurrence {
    Occurrence::Reply(ReplyEnvelope::to(command, Outcome::Done, b"null".to_vec()))
}

fn start() -> Occurrence {
    let input = json!({
        "customer_id": "cust_1",
        "lines": [{ "product_id": "prod_001", "quantity": 1 }],
        "total": { "amount": 1290, "currency": "EUR" },
        "payment_method": "card_ok",
        "ship_to": { "country": "DE" },
    });
    Occurrence::Start(StartEnvelope {
        saga: SagaId(Uuid::now_v7()),
        definition: "place-order".into(),
        traceparent: None,
        body: input.to_string().into_bytes(),
    })
}

/// As inventory got it.
pub fn arrived(command: &CommandEnvelope) -> Incoming {
    let message = Outgoing::command(command);
    Incoming {
        queue: command_queue(STOCK),
        properties: message.properties,
        headers: message.headers,
        body: message.body,
        ..Incoming::default()
    }
}

pub fn letter_of(command: &CommandEnvelope) -> Outgoing {
    let error = format!("no shelf for saga {}", command.saga);
    dead(&arrived(command), &error)
}

pub fn dead(message: &Incoming, error: &str) -> Outgoing {
    let mut message = message.clone();
    message.queue = command_queue(STOCK);
    Outgoing::dead_letter(&message, STOCK, DeadReason::AttemptsSpent, error, 6)
}

pub fn undo_of(command: &CommandEnvelope) -> CommandEnvelope {
    CommandEnvelope {
        leg: Leg::Compensation,
        kind: "inventory.release-stock".into(),
        ..command.clone()
    }
}
