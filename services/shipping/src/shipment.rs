//! The participant: each leg prepares an intent, calls the carrier outside any transaction, and
//! records what the carrier said.

use crate::{
    book,
    carrier::{Booked, Carrier, Said, Wanted},
};
use contracts::{
    Never, SagaId,
    shipping::{BookShipment, CancelShipment, ShipmentBooked, Undeliverable},
};
use runtime::resilience::Breaker;
use std::time::Duration;
use worker::{
    CallKey, Called, Fault, ManyTx, NotDone, NotDone::Refused, Outcome, Outside, Replied, Tx,
};

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
        let wanted = Wanted::from(command);
        book::open(tx.sql(), &[(command.order, &wanted)]).await?;
        Ok(wanted)
    }

    async fn prepare_many(
        &self,
        tx: &mut ManyTx<'_>,
        commands: &[(SagaId, BookShipment)],
    ) -> Result<Option<Vec<Wanted>>, Fault> {
        let wanted: Vec<_> = commands.iter().map(|(_, command)| Wanted::from(command)).collect();
        let opened: Vec<_> =
            commands.iter().map(|(_, command)| command.order).zip(&wanted).collect();
        book::open(tx.sql(), &opened).await?;
        Ok(Some(wanted))
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
                book::booked(tx.sql(), &[(command.order, (&key, &tracking))]).await?;
                Ok(ShipmentBooked { tracking })
            }
            Said::No(reason) => {
                book::refused(tx.sql(), &[(command.order, &reason)]).await?;
                Err(Refused(Undeliverable { reason }))
            }
        }
    }

    async fn record_many(
        &self,
        tx: &mut ManyTx<'_>,
        called: &[Called<BookShipment, Wanted, Self::Answer>],
    ) -> Result<Option<Vec<Replied<BookShipment>>>, Fault> {
        let (mut booked, mut refused) = (Vec::new(), Vec::new());
        for Called { command, answer: (key, said), .. } in called {
            match said {
                Said::Booked(it) => {
                    booked.push((command.order, (key.as_str(), it.tracking.as_str())));
                }
                Said::No(reason) => refused.push((command.order, reason.as_str())),
            }
        }
        book::booked(tx.sql(), &booked).await?;
        book::refused(tx.sql(), &refused).await?;
        let told = called.iter().map(|it| match it.answer.1.clone() {
            Said::Booked(Booked { tracking }) => Ok(ShipmentBooked { tracking }),
            Said::No(reason) => Err(Undeliverable { reason }),
        });
        Ok(Some(told.collect()))
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
        Ok(book::cancelled(tx.sql(), command.order).await?)
    }

    fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    fn time_limit(&self) -> Duration {
        self.time_limit
    }
}

impl From<&BookShipment> for Wanted {
    fn from(command: &BookShipment) -> Self {
        Wanted { ship_to: command.ship_to.clone(), lines: command.lines.clone() }
    }
}
