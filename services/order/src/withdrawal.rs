//! A customer withdraws an order. Before the saga has opened it, that is a matter of one row;
//! afterwards it is the orchestrator's duty to undo what was done.

use contracts::EventEnvelope;
use messaging::Outgoing;
use runtime::trace;
use sqlx::PgPool;
use store::outbox;
use uuid::Uuid;

use crate::{
    orchestrator::{self, Orchestrator},
    order::{Order, Status},
};

#[derive(Debug)]
pub enum Withdrawal {
    /// Cancelled here and now; the saga's first step will be refused.
    Cancelled(Order),
    /// It was cancelled before.
    WasCancelled(Order),
    /// The saga is undoing it.
    Requested(Order),
    /// There is no such order.
    Unknown,
    /// Too late.
    Confirmed,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot write the order's messages")]
    Encode(#[from] serde_json::Error),
    #[error("cannot store the withdrawal")]
    Storage(#[from] sqlx::Error),
    #[error(transparent)]
    Orchestrator(#[from] orchestrator::Error),
}

const REASON: &str = "cancelled by the customer";

pub async fn withdraw(
    pool: &PgPool,
    orchestrator: &Orchestrator,
    id: Uuid,
) -> Result<Withdrawal, Error> {
    if let Some(order) = before_opening(pool, id).await? {
        return Ok(Withdrawal::Cancelled(order));
    }
    let Some(order) = Order::find(pool, id).await? else { return Ok(Withdrawal::Unknown) };
    match order.status {
        Status::Confirmed => Ok(Withdrawal::Confirmed),
        Status::Cancelled => Ok(Withdrawal::WasCancelled(order)),
        Status::Pending => {
            orchestrator.cancel(id, REASON).await?;
            Ok(Withdrawal::Requested(order))
        }
    }
}

/// `None` when the order is not there, or no longer in its first moments.
async fn before_opening(pool: &PgPool, id: Uuid) -> Result<Option<Order>, Error> {
    let mut tx = pool.begin().await?;
    let cancelled: Option<Order> = sqlx::query_as(
        "UPDATE orders SET status = 'cancelled', reason = $2, cause = 'cancelled',
                updated_at = now()
         WHERE id = $1 AND status = 'pending' AND opened_at IS NULL RETURNING *",
    )
    .bind(id)
    .bind(REASON)
    .fetch_optional(&mut *tx)
    .await?;
    if let Some(order) = &cancelled {
        let mut event = EventEnvelope::of(order.saga(), &order.cancelled())?;
        event.traceparent = trace::current().map(|context| context.to_string());
        outbox::put(&mut tx, &[Outgoing::event(&event)]).await?;
    }
    tx.commit().await?;
    Ok(cancelled)
}
