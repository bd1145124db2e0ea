//! The outbox and its relay, on a real Postgres; the broker is a list.

#![allow(clippy::unwrap_used)]

use messaging::{Headers, Outgoing, Properties};
use runtime::shutdown::Shutdown;
use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
};
use store::{
    outbox,
    relay::{self, Relay},
};
use testkit::{PATIENCE, ScratchDb, eventually};

/// What was sent, by message id.
#[derive(Clone, Default)]
struct Broker {
    got: Arc<Mutex<HashMap<String, u32>>>,
    /// Sends yet to arrive without being confirmed.
    unconfirmed: Arc<AtomicU32>,
    /// Messages with this key have no queue.
    nowhere: Option<String>,
}

impl relay::Send for Broker {
    type Error = io::Error;

    async fn send(&self, messages: &[Outgoing]) -> io::Result<Vec<usize>> {
        let is_lost = |message: &Outgoing| self.nowhere.as_ref() == Some(&message.key);
        let lost = messages.iter().enumerate().filter(|(_, message)| is_lost(message));
        let lost = lost.map(|(index, _)| index).collect();
        let mut got = self.got.lock().unwrap();
        for message in messages.iter().filter(|message| !is_lost(message)) {
            let id = message.properties.message_id.clone().unwrap();
            *got.entry(id).or_default() += 1;
        }
        let less = |left: u32| left.checked_sub(1);
        match self.unconfirmed.fetch_update(SeqCst, SeqCst, less) {
            Ok(_) => Err(io::Error::other("the confirm did not come")),
            Err(_) => Ok(lost),
        }
    }
}

fn message(id: usize, exchange: &str, key: &str) -> Outgoing {
    let properties = Properties { message_id: Some(id.to_string()), ..Properties::default() };
    let headers = Headers::default().with("schema-version", 1_i64);
    Outgoing::other(exchange, key, properties, headers, b"{\"a\": 1}".to_vec())
}

async fn database() -> anyhow::Result<ScratchDb> {
    let database = ScratchDb::empty().await?;
    sqlx::raw_sql(store::PARTICIPANT_SQL).execute(database.pool()).await?;
    Ok(database)
}

async fn emptied(database: &ScratchDb, left: i64) -> anyhow::Result<()> {
    eventually(PATIENCE, "the outbox is emptied", async || {
        let backlog = outbox::backlog(database.pool()).await?;
        anyhow::ensure!(backlog == left, "{backlog} left");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn two_relays_send_every_message_and_delete_it() -> anyhow::Result<()> {
    let (database, broker, shutdown) = (database().await?, Broker::default(), Shutdown::manual());
    let start = || Relay::start(database.pool().clone(), broker.clone(), shutdown.clone());
    let relays = [start(), start()];
    for id in 0..500 {
        let mut transaction = database.pool().begin().await?;
        outbox::put(&mut transaction, &[message(id, "saga.commands", "shop.commands")]).await?;
        transaction.commit().await?;
        relays[id % 2].nudge();
    }
    emptied(&database, 0).await?;
    let got = broker.got.lock().unwrap();
    assert_eq!(got.len(), 500);
    assert!(got.values().all(|times| *times == 1), "each was one relay's alone");
    shutdown.begin();
    Ok(())
}

#[tokio::test]
async fn a_message_that_was_not_confirmed_is_sent_again() -> anyhow::Result<()> {
    let (database, broker, shutdown) = (database().await?, Broker::default(), Shutdown::manual());
    broker.unconfirmed.store(1, SeqCst);
    outbox::put(&mut *database.pool().acquire().await?, &[message(1, "saga.commands", "x")])
        .await?;
    let _relay = Relay::start(database.pool().clone(), broker.clone(), shutdown.clone());
    emptied(&database, 0).await?;
    assert_eq!(broker.got.lock().unwrap().get("1"), Some(&2));
    shutdown.begin();
    Ok(())
}

#[tokio::test]
async fn an_unroutable_command_stays_and_an_event_without_listeners_does_not() -> anyhow::Result<()>
{
    let (database, shutdown) = (database().await?, Shutdown::manual());
    let broker = Broker { nowhere: Some("nobody".to_owned()), ..Broker::default() };
    let mut connection = database.pool().acquire().await?;
    outbox::put(&mut connection, &[message(1, "saga.commands", "nobody")]).await?;
    outbox::put(&mut connection, &[message(2, "saga.events", "nobody")]).await?;
    outbox::put(&mut connection, &[message(3, "saga.commands", "somebody")]).await?;
    drop(connection);
    let _relay = Relay::start(database.pool().clone(), broker.clone(), shutdown.clone());
    emptied(&database, 1).await?;
    assert_eq!(broker.got.lock().unwrap().keys().collect::<Vec<_>>(), ["3"]);
    shutdown.begin();
    Ok(())
}

#[tokio::test]
async fn a_message_taken_by_a_relay_that_died_is_anybodys_again() -> anyhow::Result<()> {
    let database = database().await?;
    let pool = database.pool();
    outbox::put(&mut *pool.acquire().await?, &[message(1, "saga.commands", "x")]).await?;
    assert_eq!(outbox::take(pool, 100, 30.0).await?.len(), 1);
    assert_eq!(outbox::take(pool, 100, 0.0).await?.len(), 0, "it is the first one's");
    sqlx::query("UPDATE outbox SET taken_until = now() - interval '1 s'").execute(pool).await?;
    assert_eq!(outbox::take(pool, 100, 30.0).await?.len(), 1);
    Ok(())
}
