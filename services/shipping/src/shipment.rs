//! The participant: each leg prepares an intent, calls the carrier outside any transaction, and
//! records what the carrier said.

use crate::carrier::{Booked, Carrier, Said, Wanted};
use contracts::{
    Never,
    shipping::{BookShipment, CancelShipment, ShipmentBooked, Undeliverable},
};
use runtime::resilience::Breaker;
use sqlx::types::Json;
use std::time::Duration;
use worker::{CallKey, Fault, NotDone, NotDone::Refused, Outcome, Outside, Tx};

pub struct Shipping<C> {
    pub carrier: C,
    pub breaker: Breaker,
    /// For each call to the carrier.
    pub time_limit: Duration,
}

impl<C: Carrier> Outside<BookShipment> for Shipping<C> {
    type Intent = Wanted;
    /// With the key that the carrier knows the parcel by.
    type Answer = (String, Said);

    async fn prepare(
        &self,
        tx: &mut Tx<'_>,
        command: &BookShipment,
    ) -> Result<Wanted, NotDone<Undeliverable>> {
        sqlx::query(
            "INSERT INTO shipment (order_id, ship_to, lines) VALUES ($1, $2, $3)
             ON CONFLICT (order_id) DO NOTHING",
        )
        .bind(command.order.0)
        .bind(Json(&command.ship_to))
        .bind(Json(&command.lines))
        .execute(tx.sql())
        .await?;
        Ok(Wanted { ship_to: command.ship_to.clone(), lines: command.lines.clone() })
    }

    async fn call(&self, intent: &Wanted, key: &CallKey) -> Result<Self::Answer, Fault> {
        let said = self.carrier.book(&key.own, intent).await?;
        Ok((key.own.clone(), said))
    }

    async fn record(
        &self,
        tx: &mut Tx<'_>,
        command: BookShipment,
        _: Wanted,
        (key, said): Self::Answer,
    ) -> Outcome<BookShipment> {
        match said {
            Said::Booked(Booked { tracking }) => {
                sqlx::query(
                    "UPDATE shipment SET status = 'booked', shipment_key = $2, tracking = $3,
                         updated_at = now()
                     WHERE order_id = $1",
                )
                .bind(command.order.0)
                .bind(key)
                .bind(&tracking)
                .execute(tx.sql())
                .await?;
                Ok(ShipmentBooked { tracking })
            }
            Said::No(reason) => {
                sqlx::query(
                    "UPDATE shipment SET status = 'refused', reason = $2, updated_at = now()
                     WHERE order_id = $1",
                )
                .bind(command.order.0)
                .bind(&reason)
                .execute(tx.sql())
                .await?;
                Err(Refused(Undeliverable { reason }))
            }
        }
    }

    fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    fn time_limit(&self) -> Duration {
        self.time_limit
    }
}

impl<C: Carrier> Outside<CancelShipment> for Shipping<C> {
    type Intent = ();
    type Answer = ();

    async fn prepare(&self, _: &mut Tx<'_>, _: &CancelShipment) -> Result<(), NotDone<Never>> {
        Ok(())
    }

    /// By the booking's key, as its answer may never have been recorded.
    async fn call(&self, (): &(), key: &CallKey) -> Result<(), Fault> {
        Ok(self.carrier.cancel(&key.own, &key.action).await?)
    }

    async fn record(
        &self,
        tx: &mut Tx<'_>,
        command: CancelShipment,
        (): (),
        (): (),
    ) -> Outcome<CancelShipment> {
        sqlx::query(
            "UPDATE shipment SET status = 'cancelled', updated_at = now() WHERE order_id = $1",
        )
        .bind(command.order.0)
        .execute(tx.sql())
        .await?;
        Ok(())
    }

    fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    fn time_limit(&self) -> Duration {
        self.time_limit
    }
}
