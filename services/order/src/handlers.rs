//! The order as a participant of its own saga. Each change is one conditional update: it happens
//! once, whatever is sent twice.

use contracts::{
    SagaId,
    order::{CancelOrder, ConfirmOrder, OpenOrder, OrderNotOpen},
};
use sqlx::PgConnection;
use std::collections::HashSet;
use uuid::Uuid;
use worker::{Fault, Handle, HandleMany, ManyTx, NotDone, Outcome, Replied, Tx};

use crate::{Orders, order::Order};

impl Handle<OpenOrder> for Orders {
    async fn handle(&self, tx: &mut Tx<'_>, command: OpenOrder) -> Outcome<OpenOrder> {
        let opened = open(tx.sql(), &[command.order.0]).await?;
        if opened.is_empty() {
            let status = status(tx.sql(), command.order.0).await?;
            return Err(NotDone::Refused(OrderNotOpen { status }));
        }
        Ok(())
    }
}

impl HandleMany<OpenOrder> for Orders {
    async fn handle_many(
        &self,
        tx: &mut ManyTx<'_>,
        commands: &[(SagaId, OpenOrder)],
    ) -> Result<Option<Vec<Replied<OpenOrder>>>, Fault> {
        let ids: Vec<_> = commands.iter().map(|(_, command)| command.order.0).collect();
        let opened = open(tx.sql(), &ids).await?;
        let mut replies = Vec::with_capacity(ids.len());
        for id in ids {
            replies.push(match opened.contains(&id) {
                true => Ok(()),
                // Few: who has withdrawn an order in its first moments.
                false => Err(OrderNotOpen { status: status(tx.sql(), id).await? }),
            });
        }
        Ok(Some(replies))
    }
}

impl Handle<CancelOrder> for Orders {
    async fn handle(&self, tx: &mut Tx<'_>, command: CancelOrder) -> Outcome<CancelOrder> {
        let cancelled: Option<Order> = sqlx::query_as(
            "UPDATE orders SET status = 'cancelled', reason = $2, cause = $3, updated_at = now()
             WHERE id = $1 AND status = 'pending' RETURNING *",
        )
        .bind(command.order.0)
        .bind(&command.reason)
        .bind(&command.cause)
        .fetch_optional(tx.sql())
        .await?;
        match cancelled {
            Some(order) => Ok(tx.publish(order.saga(), &order.cancelled())?),
            // A saga can be started without an order; then there is nothing to cancel.
            None => already(tx, command.order.0, &["cancelled", UNKNOWN]).await,
        }
    }
}

impl HandleMany<CancelOrder> for Orders {
    async fn handle_many(
        &self,
        tx: &mut ManyTx<'_>,
        commands: &[(SagaId, CancelOrder)],
    ) -> Result<Option<Vec<Replied<CancelOrder>>>, Fault> {
        // Each event is told with the command whose saga it belongs to.
        if commands.iter().any(|(saga, command)| command.order != *saga) {
            return Ok(None);
        }
        let cancelled: Vec<Order> = sqlx::query_as(
            "UPDATE orders SET status = 'cancelled', reason = told.reason, cause = told.cause,
                    updated_at = now()
             FROM unnest($1::uuid[], $2::text[], $3::text[]) AS told (order_id, reason, cause)
             WHERE id = told.order_id AND status = 'pending' RETURNING orders.*",
        )
        .bind(commands.iter().map(|(_, command)| command.order.0).collect::<Vec<_>>())
        .bind(commands.iter().map(|(_, command)| command.reason.clone()).collect::<Vec<_>>())
        .bind(commands.iter().map(|(_, command)| command.cause.clone()).collect::<Vec<_>>())
        .fetch_all(tx.sql())
        .await?;
        if cancelled.len() != commands.len() {
            return Ok(None);
        }
        for order in &cancelled {
            tx.publish(order.saga(), &order.cancelled())?;
        }
        Ok(Some(vec![Ok(()); commands.len()]))
    }
}

impl Handle<ConfirmOrder> for Orders {
    async fn handle(&self, tx: &mut Tx<'_>, command: ConfirmOrder) -> Outcome<ConfirmOrder> {
        let confirmed: Option<Order> = sqlx::query_as(
            "UPDATE orders SET status = 'confirmed', tracking = $2, updated_at = now()
             WHERE id = $1 AND status = 'pending' RETURNING *",
        )
        .bind(command.order.0)
        .bind(&command.tracking)
        .fetch_optional(tx.sql())
        .await?;
        match confirmed {
            Some(order) => Ok(tx.publish(order.saga(), &order.confirmed())?),
            None => already(tx, command.order.0, &["confirmed"]).await,
        }
    }
}

impl HandleMany<ConfirmOrder> for Orders {
    async fn handle_many(
        &self,
        tx: &mut ManyTx<'_>,
        commands: &[(SagaId, ConfirmOrder)],
    ) -> Result<Option<Vec<Replied<ConfirmOrder>>>, Fault> {
        // Each event is told with the command whose saga it belongs to.
        if commands.iter().any(|(saga, command)| command.order != *saga) {
            return Ok(None);
        }
        let confirmed: Vec<Order> = sqlx::query_as(
            "UPDATE orders SET status = 'confirmed', tracking = told.tracking, updated_at = now()
             FROM unnest($1::uuid[], $2::text[]) AS told (order_id, tracking)
             WHERE id = told.order_id AND status = 'pending' RETURNING orders.*",
        )
        .bind(commands.iter().map(|(_, command)| command.order.0).collect::<Vec<_>>())
        .bind(commands.iter().map(|(_, command)| command.tracking.clone()).collect::<Vec<_>>())
        .fetch_all(tx.sql())
        .await?;
        if confirmed.len() != commands.len() {
            return Ok(None);
        }
        for order in &confirmed {
            tx.publish(order.saga(), &order.confirmed())?;
        }
        Ok(Some(vec![Ok(()); commands.len()]))
    }
}

/// Done when the order's status is one of `wanted` already. Any other is for a person to look at:
/// no retry will turn a confirmed order into a cancelled one.
async fn already<R>(
    tx: &mut Tx<'_>,
    id: Uuid,
    wanted: &'static [&'static str],
) -> Result<(), NotDone<R>> {
    let status = status(tx.sql(), id).await?;
    if wanted.contains(&status.as_str()) {
        return Ok(());
    }
    Err(NotDone::Fault(Fault::permanent(WrongStatus { id, status, wanted: wanted[0] })))
}

/// What stands for the status of an order that is not there.
const UNKNOWN: &str = "unknown";

/// Takes pending orders into work; which of them are pending.
async fn open(sql: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<HashSet<Uuid>> {
    let opened: Vec<Uuid> = sqlx::query_scalar(
        "UPDATE orders SET opened_at = coalesce(opened_at, now()), updated_at = now()
         WHERE id = ANY($1) AND status = 'pending' RETURNING id",
    )
    .bind(ids)
    .fetch_all(sql)
    .await?;
    Ok(opened.into_iter().collect())
}

async fn status(sql: &mut PgConnection, id: Uuid) -> sqlx::Result<String> {
    let status = sqlx::query_scalar("SELECT status FROM orders WHERE id = $1")
        .bind(id)
        .fetch_optional(sql)
        .await?;
    Ok(status.unwrap_or_else(|| UNKNOWN.to_owned()))
}

#[derive(Debug, thiserror::Error)]
#[error("order {id} is {status} and cannot become {wanted}")]
struct WrongStatus {
    id: Uuid,
    status: String,
    wanted: &'static str,
}
