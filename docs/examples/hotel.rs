//! The hotel: a participant. `hotel migrate` prepares its database; see docs/writing-a-saga.md.

#[allow(dead_code)]
mod trip;

use trip::{FreeRoom, HoldRoom, TakeRoom};
use worker::{Handle, NotDone::Refused, Outcome, Tx, Worker};

static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../docs/examples/hotel");

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    Worker::from_env("hotel", Hotel)?
        .pair::<HoldRoom, FreeRoom>() // an action is never registered without its undo
        .retriable::<TakeRoom>() // the pivot has none
        .migrations(&MIGRATOR)
        .port(8101)
        .run_until_signal()
        .await?;
    Ok(())
}

struct Hotel;

impl Handle<HoldRoom> for Hotel {
    async fn handle(&self, tx: &mut Tx<'_>, command: HoldRoom) -> Outcome<HoldRoom> {
        let held = sqlx::query("UPDATE room SET trip = $1 WHERE room = $2 AND trip IS NULL")
            .bind(command.trip.0)
            .bind(&command.room)
            .execute(tx.sql())
            .await?; // any `?` is a fault: rolled back, retried, at last a dead letter
        match held.rows_affected() {
            0 => Err(Refused(format!("room {} is not free", command.room))),
            _ => Ok(()),
        }
    }
}

impl Handle<FreeRoom> for Hotel {
    async fn handle(&self, tx: &mut Tx<'_>, command: FreeRoom) -> Outcome<FreeRoom> {
        sqlx::query("UPDATE room SET trip = NULL WHERE trip = $1")
            .bind(command.trip.0)
            .execute(tx.sql())
            .await?;
        Ok(())
    }
}

impl Handle<TakeRoom> for Hotel {
    async fn handle(&self, tx: &mut Tx<'_>, command: TakeRoom) -> Outcome<TakeRoom> {
        if command.guest.trim().is_empty() {
            return Err(Refused("a guest has a name".to_owned()));
        }
        sqlx::query("UPDATE room SET guest = $2 WHERE trip = $1")
            .bind(command.trip.0)
            .bind(&command.guest)
            .execute(tx.sql())
            .await?;
        Ok(())
    }
}
