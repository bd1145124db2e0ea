//! Inventory as a participant: hold stock for an order, let go of it, and see it off.

use contracts::{
    SagaId,
    inventory::{ReleaseStock, ReserveStock},
    order::OrderConfirmed,
};
use worker::{Fault, Handle, Listen, NotDone, Outcome, Tx};

use crate::{
    Inventory,
    stock::{self, Movement},
};

impl Handle<ReserveStock> for Inventory {
    async fn handle(&self, tx: &mut Tx<'_>, command: ReserveStock) -> Outcome<ReserveStock> {
        stock::reserve(tx.sql(), command.order.0, &command.lines).await?.map_err(NotDone::Refused)
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

/// Moves what is held. That it has moved this way before is fine, and so is nothing to release;
/// anything else means that stock went both ways, which a person must look at.
async fn settle(tx: &mut Tx<'_>, order: SagaId, to: Movement) -> Result<(), Fault> {
    if stock::settle(tx.sql(), order.0, to).await? > 0 {
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
