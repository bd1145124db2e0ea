//! Analytics listens; it is never asked to do anything.

use contracts::order::{OrderCancelled, OrderConfirmed, OrderCreated};
use worker::{Fault, Listen, Tx};

use crate::{
    Analytics,
    ledger::{self, Ending},
};

impl Listen<OrderCreated> for Analytics {
    async fn on(&self, tx: &mut Tx<'_>, event: OrderCreated) -> Result<(), Fault> {
        ledger::note(tx.sql(), event.order, &event.customer_id, &event.total).await?;
        Ok(())
    }
}

impl Listen<OrderConfirmed> for Analytics {
    async fn on(&self, tx: &mut Tx<'_>, event: OrderConfirmed) -> Result<(), Fault> {
        ledger::note(tx.sql(), event.order, &event.customer_id, &event.total).await?;
        ledger::close(tx.sql(), event.order, Ending::Confirmed).await?;
        Ok(())
    }
}

impl Listen<OrderCancelled> for Analytics {
    async fn on(&self, tx: &mut Tx<'_>, event: OrderCancelled) -> Result<(), Fault> {
        let ending = Ending::Cancelled { cause: &event.cause, reason: &event.reason };
        ledger::note(tx.sql(), event.order, &event.customer_id, &event.total).await?;
        ledger::close(tx.sql(), event.order, ending).await?;
        Ok(())
    }
}
