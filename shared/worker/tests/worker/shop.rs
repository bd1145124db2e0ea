//! A service whose effects are in its database: a shelf, from which things are taken and to which
//! they are given back.

use contracts::{Command, Event, Never, SagaId};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use std::sync::atomic::{AtomicU32, Ordering};
use testkit::ScratchDb;
use uuid::Uuid;
use worker::{
    Fault, Handle, HandleMany, Listen, ListenMany, ManyTx, NotDone::Refused, Outcome, Replied, Tx,
    Worker, testing::Bench,
};

pub(crate) const STEP: &str = "take";

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Mood {
    Fine,
    /// Writes, and refuses then.
    RefuseAfterWriting,
    /// Writes, and faults then, for good.
    Fault,
    Panic,
    /// Ignores an error of the database and answers done.
    Swallow,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Take {
    pub(crate) thing: String,
    pub(crate) mood: Mood,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct GiveBack {
    pub(crate) thing: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Taken {
    pub(crate) thing: String,
}

impl Command for Take {
    const TYPE: &'static str = "shop.take";
    type Reply = String;
    type Refusal = String;
}

impl Command for GiveBack {
    const TYPE: &'static str = "shop.give-back";
    type Reply = ();
    type Refusal = Never;
}

impl Event for Taken {
    const TYPE: &'static str = "shop.taken";
}

#[derive(Default)]
pub(crate) struct Shop {
    pub(crate) calls: AtomicU32,
    /// Calls yet to fault in a way that passes.
    pub(crate) flaky: AtomicU32,
}

impl Shop {
    fn flakes(&self) -> bool {
        let less = |left: u32| left.checked_sub(1);
        self.flaky.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok()
    }
}

impl Handle<Take> for Shop {
    async fn handle(&self, tx: &mut Tx<'_>, command: Take) -> Outcome<Take> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let left: Option<i32> = sqlx::query_scalar(
            "UPDATE shelf SET left_over = left_over - 1
             WHERE thing = $1 AND left_over > 0 RETURNING left_over",
        )
        .bind(&command.thing)
        .fetch_optional(tx.sql())
        .await?;
        let Some(left) = left else {
            return Err(Refused(format!("no {} left", command.thing)));
        };
        let saga = tx.saga();
        tx.publish(saga, &Taken { thing: command.thing })?;
        match command.mood {
            _ if self.flakes() => Err(Fault::transient("not just now").into()),
            Mood::Fine => Ok(format!("{left} left")),
            Mood::RefuseAfterWriting => Err(Refused("changed my mind".to_owned())),
            Mood::Fault => Err(Fault::permanent("broken for good").into()),
            Mood::Panic => panic!("a bug"),
            Mood::Swallow => {
                let broken = sqlx::query("SELECT 1 / 0").execute(tx.sql()).await;
                assert!(broken.is_err());
                Ok("as if nothing had happened".to_owned())
            }
        }
    }
}

impl HandleMany<Take> for Shop {
    async fn handle_many(
        &self,
        tx: &mut ManyTx<'_>,
        commands: &[(SagaId, Take)],
    ) -> Result<Option<Vec<Replied<Take>>>, Fault> {
        let fine = |command: &Take| command.mood == Mood::Fine;
        let wanted = commands.iter().filter(|(_, command)| fine(command)).count();
        let wanted = i32::try_from(wanted).map_err(Fault::permanent)?;
        // Written before it looks whether it can be: a test sees that it is undone.
        let left: i32 = sqlx::query_scalar(
            "UPDATE shelf SET left_over = left_over - $1 RETURNING left_over + $1",
        )
        .bind(wanted)
        .fetch_one(tx.sql())
        .await?;
        let may_be = [Mood::Fine, Mood::RefuseAfterWriting];
        if left < wanted || commands.iter().any(|(_, command)| !may_be.contains(&command.mood)) {
            return Ok(None);
        }
        let mut replies = Vec::new();
        let mut left = left;
        for (saga, command) in commands {
            tx.publish(*saga, &Taken { thing: command.thing.clone() })?;
            replies.push(match fine(command) {
                true => {
                    left -= 1;
                    Ok(format!("{left} left"))
                }
                false => Err("changed my mind".to_owned()),
            });
        }
        Ok(Some(replies))
    }
}

impl Handle<GiveBack> for Shop {
    async fn handle(&self, tx: &mut Tx<'_>, command: GiveBack) -> Outcome<GiveBack> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        sqlx::query("UPDATE shelf SET left_over = left_over + 1 WHERE thing = $1")
            .bind(&command.thing)
            .execute(tx.sql())
            .await?;
        Ok(())
    }
}

impl Listen<Taken> for Shop {
    async fn on(&self, tx: &mut Tx<'_>, event: Taken) -> Result<(), Fault> {
        sqlx::query("UPDATE shelf SET told = told + 1 WHERE thing = $1")
            .bind(&event.thing)
            .execute(tx.sql())
            .await?;
        match self.flakes() {
            true => Err(Fault::transient("not just now")),
            false => Ok(()),
        }
    }
}

impl ListenMany<Taken> for Shop {
    async fn on_many(
        &self,
        tx: &mut ManyTx<'_>,
        events: &[(SagaId, Taken)],
    ) -> Result<bool, Fault> {
        // Written before it looks whether it can be: a test sees that it is undone.
        sqlx::query("UPDATE shelf SET told = told + $1")
            .bind(i32::try_from(events.len()).map_err(Fault::permanent)?)
            .execute(tx.sql())
            .await?;
        Ok(events.iter().all(|(_, event)| event.thing == "teapot"))
    }
}

pub(crate) fn worker() -> Worker<Shop> {
    Worker::new("shop", Shop::default()).pair::<Take, GiveBack>().on::<Taken>()
}

/// A database with `stock` teapots on the shelf.
pub(crate) async fn database(stock: i32) -> anyhow::Result<ScratchDb> {
    let database = ScratchDb::empty().await?;
    sqlx::raw_sql(store::PARTICIPANT_SQL).execute(database.pool()).await?;
    sqlx::raw_sql(store::RETOLD_SQL).execute(database.pool()).await?;
    sqlx::raw_sql(
        "CREATE TABLE shelf (thing text PRIMARY KEY, left_over int NOT NULL, told int NOT NULL DEFAULT 0)",
    )
    .execute(database.pool())
    .await?;
    sqlx::query("INSERT INTO shelf VALUES ('teapot', $1)")
        .bind(stock)
        .execute(database.pool())
        .await?;
    Ok(database)
}

pub(crate) async fn bench(stock: i32) -> anyhow::Result<(ScratchDb, Bench<Shop>)> {
    let database = database(stock).await?;
    let bench = Bench::of(worker(), database.pool().clone());
    Ok((database, bench))
}

pub(crate) async fn left(pool: &PgPool) -> anyhow::Result<i32> {
    Ok(sqlx::query_scalar("SELECT left_over FROM shelf").fetch_one(pool).await?)
}

pub(crate) async fn inbox_rows(pool: &PgPool) -> anyhow::Result<i64> {
    Ok(sqlx::query_scalar("SELECT count(*) FROM inbox").fetch_one(pool).await?)
}

pub(crate) fn saga() -> SagaId {
    SagaId(Uuid::new_v4())
}

pub(crate) fn take(mood: Mood) -> Take {
    Take { thing: "teapot".to_owned(), mood }
}

pub(crate) fn give_back() -> GiveBack {
    GiveBack { thing: "teapot".to_owned() }
}
