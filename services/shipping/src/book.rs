//! The service's own book: what is being sent for each order, and what came of it. Each movement
//! takes any number of orders in one statement.

use crate::carrier::Wanted;
use contracts::SagaId;
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

/// Before the carrier is asked. An order that is there already stays as it is.
pub async fn open(sql: &mut PgConnection, wanted: &[(SagaId, &Wanted)]) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO shipment (order_id, ship_to, lines)
         SELECT * FROM unnest($1::uuid[], $2::jsonb[], $3::jsonb[])
         ON CONFLICT (order_id) DO NOTHING",
    )
    .bind(ids(wanted))
    .bind(wanted.iter().map(|(_, it)| Json(&it.ship_to)).collect::<Vec<_>>())
    .bind(wanted.iter().map(|(_, it)| Json(&it.lines)).collect::<Vec<_>>())
    .execute(sql)
    .await
    .map(drop)
}

/// Each with the key under which the carrier knows it, and its tracking number.
pub async fn booked(
    sql: &mut PgConnection,
    parcels: &[(SagaId, (&str, &str))],
) -> sqlx::Result<()> {
    if parcels.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE shipment SET status = 'booked', shipment_key = new.key, tracking = new.tracking,
                updated_at = now()
           FROM unnest($1::uuid[], $2::text[], $3::text[]) AS new (order_id, key, tracking)
          WHERE shipment.order_id = new.order_id",
    )
    .bind(ids(parcels))
    .bind(parcels.iter().map(|(_, (key, _))| *key).collect::<Vec<_>>())
    .bind(parcels.iter().map(|(_, (_, tracking))| *tracking).collect::<Vec<_>>())
    .execute(sql)
    .await
    .map(drop)
}

/// The carrier's no, each with its reason.
pub async fn refused(sql: &mut PgConnection, reasons: &[(SagaId, &str)]) -> sqlx::Result<()> {
    if reasons.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE shipment SET status = 'refused', reason = new.reason, updated_at = now()
           FROM unnest($1::uuid[], $2::text[]) AS new (order_id, reason)
          WHERE shipment.order_id = new.order_id",
    )
    .bind(ids(reasons))
    .bind(reasons.iter().map(|(_, reason)| *reason).collect::<Vec<_>>())
    .execute(sql)
    .await
    .map(drop)
}

pub async fn cancelled(sql: &mut PgConnection, order: SagaId) -> sqlx::Result<()> {
    sqlx::query("UPDATE shipment SET status = 'cancelled', updated_at = now() WHERE order_id = $1")
        .bind(order.0)
        .execute(sql)
        .await
        .map(drop)
}

fn ids<T>(orders: &[(SagaId, T)]) -> Vec<Uuid> {
    orders.iter().map(|(order, _)| order.0).collect()
}
