//! The participants that are measured: one row each, through the worker SDK as any service.

use crate::saga::{Authorise, Goods, Notify, Release, Reserve, Ship, Void};
use contracts::SagaId;
use sqlx::migrate::Migrator;
use worker::{Fault, Handle, HandleMany, ManyTx, NotDone, Outcome, Replied, Tx, Worker};

pub static MIGRATOR: Migrator = sqlx::migrate!();

/// A participant by its name.
pub async fn run(name: &str) -> anyhow::Result<()> {
    let ended = match name {
        "reserve" => Worker::new("reserve", Clerk).pair::<Reserve, Release>().set_wise::<Reserve>(),
        "authorise" => {
            Worker::new("authorise", Clerk).pair::<Authorise, Void>().set_wise::<Authorise>()
        }
        "ship" => Worker::new("ship", Clerk).retriable::<Ship>().set_wise::<Ship>(),
        "notify" => Worker::new("notify", Clerk).retriable::<Notify>().set_wise::<Notify>(),
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

/// One statement for all of them.
async fn write_many(tx: &mut ManyTx<'_>, goods: &[(SagaId, &Goods)]) -> Result<(), Fault> {
    sqlx::query("INSERT INTO effect (saga_id, amount) SELECT * FROM unnest($1::uuid[], $2::int[])")
        .bind(goods.iter().map(|(saga, _)| saga.0).collect::<Vec<_>>())
        .bind(goods.iter().map(|(_, goods)| goods.amount).collect::<Vec<_>>())
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

        impl HandleMany<$command> for Clerk {
            async fn handle_many(
                &self,
                tx: &mut ManyTx<'_>,
                commands: &[(SagaId, $command)],
            ) -> Result<Option<Vec<Replied<$command>>>, Fault> {
                let goods: Vec<_> =
                    commands.iter().map(|(saga, command)| (*saga, &command.goods)).collect();
                write_many(tx, &goods).await?;
                Ok(Some(commands.iter().map(|(_, command)| Ok(command.goods.clone())).collect()))
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
        let goods = shippable(&command).map_err(NotDone::Refused)?;
        write(tx, &goods).await?;
        Ok(goods)
    }
}

impl HandleMany<Ship> for Clerk {
    async fn handle_many(
        &self,
        tx: &mut ManyTx<'_>,
        commands: &[(SagaId, Ship)],
    ) -> Result<Option<Vec<Replied<Ship>>>, Fault> {
        let goods: Vec<_> = commands
            .iter()
            .filter(|(_, command)| !command.goods.unshippable)
            .map(|(saga, command)| (*saga, &command.goods))
            .collect();
        write_many(tx, &goods).await?;
        Ok(Some(commands.iter().map(|(_, command)| shippable(command)).collect()))
    }
}

fn shippable(command: &Ship) -> Replied<Ship> {
    match command.goods.unshippable {
        true => Err("there is no way there".to_owned()),
        false => Ok(command.goods.clone()),
    }
}
