//! Inventory as a participant: hold stock for an order, let go of it, and see it off.

use contracts::{
    SagaId,
    inventory::{ReleaseStock, ReserveStock},
    order::OrderConfirmed,
};
use worker::{Fault, Handle, HandleMany, Listen, ListenMany, ManyTx, NotDone, Outcome, Tx};

use crate::{
    Inventory,
    stock::{self, Movement},
};

impl Handle<ReserveStock> for Inventory {
    async fn handle(&self, tx: &mut Tx<'_>, command: ReserveStock) -> Outcome<ReserveStock> {
        let orders = [(command.order.0, command.lines.as_slice())];
        stock::reserve(tx.sql(), &orders).await?.map_err(NotDone::Refused)
    }
}

impl HandleMany<ReserveStock> for Inventory {
    async fn handle_many(
        &self,
        tx: &mut ManyTx<'_>,
        commands: &[(SagaId, ReserveStock)],
    ) -> Result<Option<Vec<()>>, Fault> {
        let orders: Vec<_> =
            commands.iter().map(|(_, it)| (it.order.0, it.lines.as_slice())).collect();
        // Who is to be refused shows only when each is alone.
        let reserved = stock::reserve(tx.sql(), &orders).await?;
        Ok(reserved.is_ok().then(|| vec![(); commands.len()]))
    }
}

impl Handle<ReleaseStock> for Inventory {
    async fn handle(&self, tx: &mut Tx<'_>, command: ReleaseStock) -> Outcome<ReleaseStock> {
        Ok(settle(tx, command.order, Movement::Release).await?)
    }
}

impl Listen<OrderConfirmed> for Inventory {
    async fn on(&self, tx: &mut Tx<'_>, event: OrderConfirmed) -> Result<(), Fault> {
        settle(tx, event.order, Movement::Ship).await
    }
}

impl ListenMany<OrderConfirmed> for Inventory {
    async fn on_many(
        &self,
        tx: &mut ManyTx<'_>,
        events: &[(SagaId, OrderConfirmed)],
    ) -> Result<bool, Fault> {
        let orders: Vec<_> = events.iter().map(|(_, event)| event.order.0).collect();
        let moved = stock::settle(tx.sql(), &orders, Movement::Ship).await?;
        Ok(orders.iter().all(|order| moved.contains(order)))
    }
}

/// Moves what is held. That it has moved this way before is fine, and so is nothing to release;
/// anything else means that stock went both ways, which a person must look at.
async fn settle(tx: &mut Tx<'_>, order: SagaId, to: Movement) -> Result<(), Fault> {
    if !stock::settle(tx.sql(), &[order.0], to).await?.is_empty() {
        return Ok(());
    }
    let status = stock::status(tx.sql(), order.0).await?;
    match (to, status.as_deref()) {
        (Movement::Release, None | Some("released")) | (Movement::Ship, Some("shipped")) => Ok(()),
        (_, status) => {
            let status = status.unwrap_or("not there").to_owned();
            Err(Fault::permanent(WrongWay { order, to, status }))
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("cannot {to:?} the stock of order {order}: its hold is {status}")]
struct WrongWay {
    order: SagaId,
    to: Movement,
    status: String,
}
