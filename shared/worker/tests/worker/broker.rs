//! The whole service, with its queues.

use crate::{
    shop::{self, Mood, STEP, Shop, Take, left, saga, take},
    till::{self, Till},
};
use anyhow::Context;
use contracts::{CommandEnvelope, Leg, Outcome, ReplyEnvelope};
use messaging::{
    Amqp, Consumer, Incoming, Outgoing, Publisher, REPLIES_QUEUE, Topology, dead_letter_queue,
};
use runtime::{config::Redacted, health::Health, shutdown::Shutdown};
use sqlx::{AssertSqlSafe, Connection};
use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr},
    sync::atomic::Ordering::SeqCst,
};
use testkit::{PATIENCE, ScratchDb, ScratchVhost, eventually};
use tokio::task::JoinHandle;
use worker::{Settings, Worker, testing::envelope};

/// A running service, and the other end of its queues.
pub(crate) struct Running {
    vhost: ScratchVhost,
    shutdown: Shutdown,
    publisher: Publisher,
    replies: Consumer,
    letters: Consumer,
    service: JoinHandle<Result<(), worker::Error>>,
}

impl Running {
    pub(crate) async fn start<S: Send + Sync + 'static>(
        worker: Worker<S>,
        name: &str,
        database: &ScratchDb,
    ) -> anyhow::Result<Self> {
        let vhost = ScratchVhost::create().await?;
        // A message for each command, so that tests can count them.
        let amqp =
            |app: &str| Amqp::new(Redacted::new(vhost.url()), app).map(|amqp| amqp.packing(0));
        let (shutdown, health) = (Shutdown::manual(), Health::new());
        let test = amqp("test")?;
        messaging::prepare(&test, &Topology::orchestrator(), &shutdown).await?;
        messaging::prepare(&test, &Topology::participant(name), &shutdown).await?;
        let publisher = Publisher::start(&test, health.part("publisher"), &shutdown);
        let consume = |queue: String, topology| {
            Consumer::start(&test, queue.clone(), topology, 100, health.part(queue), &shutdown)
        };
        let replies = consume(REPLIES_QUEUE.to_owned(), Topology::orchestrator());
        let letters = consume(dead_letter_queue(name), Topology::participant(name));
        let settings =
            Settings { database: Redacted::new(database.url()), batch: 50, calls: 8, retries: 1 };
        let address = (IpAddr::from(Ipv4Addr::LOCALHOST), 0);
        let (amqp, stop) = (amqp("service")?, shutdown.clone());
        let service = tokio::spawn(worker.run(settings, amqp, address, stop));
        Ok(Running { vhost, shutdown, publisher, replies, letters, service })
    }

    pub(crate) async fn send(&self, messages: &[Outgoing]) -> anyhow::Result<()> {
        Ok(self.publisher.send_until_confirmed(messages, &self.shutdown).await?)
    }

    async fn reply(&self) -> anyhow::Result<ReplyEnvelope> {
        Ok(next(&self.replies).await?.reply()?)
    }

    /// So many sagas have a command done; some may say so twice.
    async fn all_done(&self, sagas: usize) -> anyhow::Result<()> {
        let mut answered = HashSet::new();
        while answered.len() < sagas {
            let reply = self.reply().await?;
            assert_eq!(reply.outcome, Outcome::Done);
            answered.insert(reply.saga);
        }
        Ok(())
    }

    /// So many commands are in the queue, of which so many are in nobody's hands.
    async fn waiting(&self, messages: u64, ready: u64) -> anyhow::Result<()> {
        eventually(PATIENCE, "the commands wait in their queue", async || {
            let queue = self.vhost.queue("shop.commands").await?;
            let found = (queue["messages"].as_u64(), queue["messages_ready"].as_u64());
            anyhow::ensure!(found == (Some(messages), Some(ready)), "{found:?}");
            Ok(())
        })
        .await
    }

    async fn letter(&self) -> anyhow::Result<Incoming> {
        next(&self.letters).await
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.shutdown.begin();
        Ok(tokio::time::timeout(PATIENCE, self.service).await???)
    }
}

async fn next(consumer: &Consumer) -> anyhow::Result<Incoming> {
    let batch = tokio::time::timeout(PATIENCE, consumer.next_batch(1)).await;
    let delivery = batch.context("no message came")?.and_then(|mut batch| batch.pop());
    let delivery = delivery.context("stopped")?;
    let incoming = delivery.incoming.clone();
    delivery.ack().await;
    Ok(incoming)
}

fn command(mood: Mood) -> anyhow::Result<CommandEnvelope> {
    Ok(envelope(saga(), STEP, Leg::Action, &take(mood))?)
}

fn shop_service(flaky: u32) -> Worker<Shop> {
    let shop = Shop::default();
    shop.flaky.store(flaky, SeqCst);
    Worker::new("shop", shop).pair::<Take, shop::GiveBack>().on::<shop::Taken>()
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_are_answered_and_their_events_told_again_with_a_duplicate() -> anyhow::Result<()>
{
    let database = shop::database(100).await?;
    let running = Running::start(shop_service(0), "shop", &database).await?;
    let commands = (0..60).map(|_| command(Mood::Fine)).collect::<Result<Vec<_>, _>>()?;
    let twice: Vec<_> = commands.iter().chain(&commands).map(Outgoing::command).collect();
    running.send(&twice).await?;
    for _ in 0..twice.len() {
        assert_eq!(running.reply().await?.outcome, Outcome::Done);
    }
    assert_eq!(left(database.pool()).await?, 40);
    eventually(PATIENCE, "the shop has heard its own events, each once", async || {
        let told: i32 =
            sqlx::query_scalar("SELECT told FROM shelf").fetch_one(database.pool()).await?;
        anyhow::ensure!(told == 60, "{told} told");
        Ok(())
    })
    .await?;
    running.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_becomes_a_dead_letter_with_its_reason_and_nobody_is_answered() -> anyhow::Result<()>
{
    let database = shop::database(100).await?;
    let running = Running::start(shop_service(0), "shop", &database).await?;
    let good = command(Mood::Fine)?;
    let with = |change: &dyn Fn(&mut CommandEnvelope)| {
        let mut command = good.clone();
        change(&mut command);
        Outgoing::command(&command)
    };
    let poison = [
        ("poison-not-json", with(&|command| command.body = b"{".to_vec())),
        ("poison-unknown-type", with(&|command| command.kind = "shop.steal".to_owned())),
        ("poison-schema-version", with(&|command| command.body = b"{\"thing\": 1}".to_vec())),
    ];
    for (reason, message) in &poison {
        running.send(std::slice::from_ref(message)).await?;
        let letter = running.letter().await?;
        let death = letter.death().context("no dead letter")?;
        assert_eq!(death.reason, *reason, "{}", death.error);
        assert_eq!(letter.body, message.body);
    }
    running.send(&[Outgoing::command(&good)]).await?;
    assert_eq!(running.reply().await?.outcome, Outcome::Done, "the first answer of all");
    running.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_is_retried_later_and_then_a_dead_letter_and_answered_faulted() -> anyhow::Result<()>
{
    let database = shop::database(100).await?;
    let running = Running::start(shop_service(u32::MAX), "shop", &database).await?;
    running.send(&[Outgoing::command(&command(Mood::Fine)?)]).await?;
    let reply = running.reply().await?;
    assert_eq!(reply.outcome, Outcome::Faulted);
    assert_eq!(reply.body, br#"{"error":"not just now"}"#);
    let death = running.letter().await?.death().context("no dead letter")?;
    assert_eq!((death.reason.as_str(), death.attempts), ("attempts-spent", 2));
    running.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_that_passes_is_answered_after_a_retry() -> anyhow::Result<()> {
    let database = shop::database(100).await?;
    // Three tries in process, and one more after the delay.
    let running = Running::start(shop_service(3), "shop", &database).await?;
    running.send(&[Outgoing::command(&command(Mood::Fine)?)]).await?;
    assert_eq!(running.reply().await?.outcome, Outcome::Done);
    assert_eq!(left(database.pool()).await?, 99);
    running.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_other_side_is_away_nothing_is_spent_and_all_is_done_afterwards()
-> anyhow::Result<()> {
    let database = till::database().await?;
    let till = Till::default();
    till.gateway.failing.store(40, SeqCst);
    let worker = Worker::new("till", till).pair_outside::<till::Authorise, till::Void>();
    let service = worker.service();
    let running = Running::start(worker, "till", &database).await?;
    let commands = (0..20)
        .map(|_| {
            let command = till::Authorise { amount: 10 };
            Ok(Outgoing::command(&envelope(saga(), till::STEP, Leg::Action, &command)?))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    running.send(&commands).await?;
    running.all_done(commands.len()).await?;
    assert_eq!(service.gateway.set_aside(), 200);
    running.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_away_no_command_is_taken_and_none_pays_for_it() -> anyhow::Result<()>
{
    let database = shop::database(100).await?;
    let running = Running::start(shop_service(0), "shop", &database).await?;
    running.send(&[Outgoing::command(&command(Mood::Fine)?)]).await?;
    running.all_done(1).await?;

    let mut admin = sqlx::PgConnection::connect(&std::env::var("DATABASE_URL")?).await?;
    let name = database.name();
    let allow = |yes| AssertSqlSafe(format!("ALTER DATABASE {name} ALLOW_CONNECTIONS {yes}"));
    sqlx::raw_sql(allow(false)).execute(&mut admin).await?;
    sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1")
        .bind(name)
        .execute(&mut admin)
        .await?;
    let commands = (0..31).map(|_| command(Mood::Fine)).collect::<Result<Vec<_>, _>>()?;
    let messages: Vec<_> = commands.iter().map(Outgoing::command).collect();
    // The first is held until the database is back; the others find nobody who takes them.
    running.send(&messages[..1]).await?;
    running.waiting(1, 0).await?;
    running.send(&messages[1..]).await?;
    running.waiting(31, 30).await?;
    sqlx::raw_sql(allow(true)).execute(&mut admin).await?;
    running.all_done(commands.len()).await?;
    assert_eq!(left(database.pool()).await?, 68);
    running.stop().await
}
