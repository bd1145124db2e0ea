//! The participants that are measured: one row each, through the worker SDK as any service.

use crate::saga::{Authorise, Goods, Notify, Release, Reserve, Ship, Void};
use sqlx::migrate::Migrator;
use worker::{Handle, NotDone, Outcome, Tx, Worker};

pub static MIGRATOR: Migrator = sqlx::migrate!();

/// A participant by its name.
pub async fn run(name: &str) -> anyhow::Result<()> {
    let ended = match name {
        "reserve" => Worker::new("reserve", Clerk).pair::<Reserve, Release>(),
        "authorise" => Worker::new("authorise", Clerk).pair::<Authorise, Void>(),
        "ship" => Worker::new("ship", Clerk).retriable::<Ship>(),
        "notify" => Worker::new("notify", Clerk).retriable::<Notify>(),
        other => anyhow::bail!("there is no participant {other:?}"),
    }
    .migrations(&MIGRATOR)
    .run_until_signal()
    .await;
    Ok(ended?)
}

struct Clerk;

async fn write(tx: &mut Tx<'_>, goods: &Goods) -> Result<(), sqlx::Error> {
    let saga = tx.saga().0;
    sqlx::query("INSERT INTO effect (saga_id, amount) VALUES ($1, $2)")
        .bind(saga)
        .bind(goods.amount)
        .execute(tx.sql())
        .await?;
    Ok(())
}

async fn undo(tx: &mut Tx<'_>) -> Result<(), sqlx::Error> {
    let saga = tx.saga().0;
    sqlx::query("UPDATE effect SET undone = true WHERE saga_id = $1")
        .bind(saga)
        .execute(tx.sql())
        .await?;
    Ok(())
}

macro_rules! acts {
    ($($command:ty),*) => {$(
        impl Handle<$command> for Clerk {
            async fn handle(&self, tx: &mut Tx<'_>, command: $command) -> Outcome<$command> {
                write(tx, &command.goods).await?;
                Ok(command.goods)
            }
        }
    )*};
}

macro_rules! undoes {
    ($($command:ty),*) => {$(
        impl Handle<$command> for Clerk {
            async fn handle(&self, tx: &mut Tx<'_>, command: $command) -> Outcome<$command> {
                undo(tx).await?;
                Ok(command.goods)
            }
        }
    )*};
}

acts!(Reserve, Authorise, Notify);
undoes!(Release, Void);

impl Handle<Ship> for Clerk {
    async fn handle(&self, tx: &mut Tx<'_>, command: Ship) -> Outcome<Ship> {
        if command.goods.unshippable {
            return Err(NotDone::Refused("there is no way there".to_owned()));
        }
        write(tx, &command.goods).await?;
        Ok(command.goods)
    }
}
