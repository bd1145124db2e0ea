//! Analytics listens; it is never asked to do anything.

use contracts::{
    SagaId,
    order::{OrderCancelled, OrderConfirmed, OrderCreated},
};
use std::collections::BTreeMap;
use worker::{Fault, Listen, ListenMany, ManyTx, Tx};

use crate::{
    Analytics,
    ledger::{self, Ending, Noted},
};

impl Listen<OrderCreated> for Analytics {
    async fn on(&self, tx: &mut Tx<'_>, event: OrderCreated) -> Result<(), Fault> {
        Ok(ledger::note(tx.sql(), &[created(&event)]).await?)
    }
}

impl ListenMany<OrderCreated> for Analytics {
    async fn on_many(
        &self,
        tx: &mut ManyTx<'_>,
        events: &[(SagaId, OrderCreated)],
    ) -> Result<bool, Fault> {
        let orders: Vec<_> = events.iter().map(|(_, event)| created(event)).collect();
        ledger::note(tx.sql(), &orders).await?;
        Ok(true)
    }
}

impl Listen<OrderConfirmed> for Analytics {
    async fn on(&self, tx: &mut Tx<'_>, event: OrderConfirmed) -> Result<(), Fault> {
        ledger::note(tx.sql(), &[confirmed(&event)]).await?;
        Ok(ledger::close(tx.sql(), &[event.order], Ending::Confirmed).await?)
    }
}

impl ListenMany<OrderConfirmed> for Analytics {
    async fn on_many(
        &self,
        tx: &mut ManyTx<'_>,
        events: &[(SagaId, OrderConfirmed)],
    ) -> Result<bool, Fault> {
        let noted: Vec<_> = events.iter().map(|(_, event)| confirmed(event)).collect();
        ledger::note(tx.sql(), &noted).await?;
        let orders: Vec<_> = events.iter().map(|(_, event)| event.order).collect();
        ledger::close(tx.sql(), &orders, Ending::Confirmed).await?;
        Ok(true)
    }
}

impl Listen<OrderCancelled> for Analytics {
    async fn on(&self, tx: &mut Tx<'_>, event: OrderCancelled) -> Result<(), Fault> {
        ledger::note(tx.sql(), &[cancelled(&event)]).await?;
        let ending = Ending::Cancelled { cause: &event.cause, reason: &event.reason };
        Ok(ledger::close(tx.sql(), &[event.order], ending).await?)
    }
}

impl ListenMany<OrderCancelled> for Analytics {
    async fn on_many(
        &self,
        tx: &mut ManyTx<'_>,
        events: &[(SagaId, OrderCancelled)],
    ) -> Result<bool, Fault> {
        let noted: Vec<_> = events.iter().map(|(_, event)| cancelled(event)).collect();
        ledger::note(tx.sql(), &noted).await?;
        let mut reasons: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (_, event) in events {
            reasons.entry((&event.cause, &event.reason)).or_default().push(event.order);
        }
        for ((cause, reason), orders) in reasons {
            ledger::close(tx.sql(), &orders, Ending::Cancelled { cause, reason }).await?;
        }
        Ok(true)
    }
}

fn created(event: &OrderCreated) -> Noted<'_> {
    Noted { order: event.order, customer_id: &event.customer_id, total: &event.total }
}

fn confirmed(event: &OrderConfirmed) -> Noted<'_> {
    Noted { order: event.order, customer_id: &event.customer_id, total: &event.total }
}

fn cancelled(event: &OrderCancelled) -> Noted<'_> {
    Noted { order: event.order, customer_id: &event.customer_id, total: &event.total }
}
