//! Inventory as a participant: hold stock for an order, let go of it, and see it off.

use contracts::{
    SagaId,
    inventory::{ReleaseStock, ReserveStock},
    order::OrderConfirmed,
};
use uuid::Uuid;
use worker::{
    Fault, Handle, HandleMany, Listen, ListenMany, ManyTx, NotDone, Outcome, Replied, Tx,
};

use crate::{
    Inventory,
    stock::{self, Movement},
};

impl Handle<ReserveStock> for Inventory {
    async fn handle(&self, tx: &mut Tx<'_>, command: ReserveStock) -> Outcome<ReserveStock> {
        let orders = [(command.order.0, command.lines.as_slice())];
        let reserved = stock::reserve(tx.sql(), &orders).await?.pop();
        reserved.unwrap_or(Ok(())).map_err(NotDone::Refused)
    }
}

impl HandleMany<ReserveStock> for Inventory {
    async fn handle_many(
        &self,
        tx: &mut ManyTx<'_>,
        commands: &[(SagaId, ReserveStock)],
    ) -> Result<Option<Vec<Replied<ReserveStock>>>, Fault> {
        let orders: Vec<_> =
            commands.iter().map(|(_, it)| (it.order.0, it.lines.as_slice())).collect();
        Ok(Some(stock::reserve(tx.sql(), &orders).await?))
    }
}

impl Handle<ReleaseStock> for Inventory {
    async fn handle(&self, tx: &mut Tx<'_>, command: ReleaseStock) -> Outcome<ReleaseStock> {
        Ok(settle(tx, command.order, Movement::Release).await?)
    }
}

impl HandleMany<ReleaseStock> for Inventory {
    async fn handle_many(
        &self,
        tx: &mut ManyTx<'_>,
        commands: &[(SagaId, ReleaseStock)],
    ) -> Result<Option<Vec<Replied<ReleaseStock>>>, Fault> {
        let orders: Vec<_> = commands.iter().map(|(_, command)| command.order.0).collect();
        let all = settle_all(tx, &orders, Movement::Release).await?;
        Ok(all.then(|| vec![Ok(()); commands.len()]))
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
        settle_all(tx, &orders, Movement::Ship).await
    }
}

/// Whether all of them had something to move. Who had not is told when it is alone.
async fn settle_all(tx: &mut ManyTx<'_>, orders: &[Uuid], to: Movement) -> Result<bool, Fault> {
    let moved = stock::settle(tx.sql(), orders, to).await?;
    Ok(orders.iter().all(|order| moved.contains(order)))
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
