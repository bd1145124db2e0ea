//! The service's own book: what is being asked for each order, and what came of it. Each movement
//! takes any number of orders in one statement.

use crate::gateway::{Authorised, Wanted};
use contracts::SagaId;
use sqlx::PgConnection;
use std::collections::HashMap;
use uuid::Uuid;

/// Before the gateway is asked to set these aside. An order that is there already stays as it is.
pub async fn open(sql: &mut PgConnection, wanted: &[(SagaId, &Wanted)]) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO payment (order_id, amount, currency, method)
         SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[])
         ON CONFLICT (order_id) DO NOTHING",
    )
    .bind(ids(wanted))
    .bind(wanted.iter().map(|(_, it)| it.amount).collect::<Vec<_>>())
    .bind(wanted.iter().map(|(_, it)| it.currency.as_str()).collect::<Vec<_>>())
    .bind(wanted.iter().map(|(_, it)| it.method.as_str()).collect::<Vec<_>>())
    .execute(sql)
    .await
    .map(drop)
}

/// Each with the key under which the gateway knows it.
pub async fn authorised(
    sql: &mut PgConnection,
    authorised: &[(SagaId, (&str, &Authorised))],
) -> sqlx::Result<()> {
    if authorised.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE payment SET status = 'authorised', authorisation_key = new.key,
                authorisation = new.authorisation, updated_at = now()
           FROM unnest($1::uuid[], $2::text[], $3::text[]) AS new (order_id, key, authorisation)
          WHERE payment.order_id = new.order_id",
    )
    .bind(ids(authorised))
    .bind(authorised.iter().map(|(_, (key, _))| *key).collect::<Vec<_>>())
    .bind(authorised.iter().map(|(_, (_, it))| it.authorisation.as_str()).collect::<Vec<_>>())
    .execute(sql)
    .await
    .map(drop)
}

/// The gateway's no and its reason; `status` is what the payments are after it.
pub async fn declined(
    sql: &mut PgConnection,
    reasons: &[(SagaId, &str)],
    status: &str,
) -> sqlx::Result<()> {
    if reasons.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE payment SET status = $3, reason = new.reason, updated_at = now()
           FROM unnest($1::uuid[], $2::text[]) AS new (order_id, reason)
          WHERE payment.order_id = new.order_id",
    )
    .bind(ids(reasons))
    .bind(reasons.iter().map(|(_, reason)| *reason).collect::<Vec<_>>())
    .bind(status)
    .execute(sql)
    .await
    .map(drop)
}

pub async fn settled(sql: &mut PgConnection, orders: &[SagaId], status: &str) -> sqlx::Result<()> {
    if orders.is_empty() {
        return Ok(());
    }
    sqlx::query("UPDATE payment SET status = $2, updated_at = now() WHERE order_id = ANY($1)")
        .bind(orders.iter().map(|order| order.0).collect::<Vec<_>>())
        .bind(status)
        .execute(sql)
        .await
        .map(drop)
}

/// The keys under which the gateway knows the orders' payments, of those that are in `status`.
pub async fn keys(
    sql: &mut PgConnection,
    orders: &[SagaId],
    status: &str,
) -> sqlx::Result<HashMap<SagaId, String>> {
    let keys: Vec<(Uuid, String)> = sqlx::query_as(
        "SELECT order_id, authorisation_key FROM payment WHERE order_id = ANY($1) AND status = $2",
    )
    .bind(orders.iter().map(|order| order.0).collect::<Vec<_>>())
    .bind(status)
    .fetch_all(sql)
    .await?;
    Ok(keys.into_iter().map(|(order, key)| (SagaId(order), key)).collect())
}

fn ids<T>(orders: &[(SagaId, T)]) -> Vec<Uuid> {
    orders.iter().map(|(order, _)| order.0).collect()
}
