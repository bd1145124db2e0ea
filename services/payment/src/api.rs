//! The REST side: payments as this service knows them.

use axum::{Json, Router, extract::State, routing::get};
use contracts::Money;
use runtime::{
    http::{Params, PathId, Problem},
    page::{Cursor, Limit, Page},
};
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, Row as _, postgres::PgRow};
use time::OffsetDateTime;
use uuid::Uuid;

pub fn router(pool: PgPool) -> Router {
    Router::new()
        .route("/api/v1/payments", get(payments))
        .route("/api/v1/payments/{order_id}", get(payment))
        .with_state(pool)
}

#[derive(Debug, Serialize)]
struct Payment {
    order_id: Uuid,
    amount: Money,
    method: String,
    /// The gateway's id, once it has answered.
    authorisation: Option<String>,
    status: String,
    reason: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
}

/// Where a page ends: lists go from the newest to the oldest.
type Key = (OffsetDateTime, Uuid);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    order_id: Option<Uuid>,
    #[serde(default)]
    limit: Limit,
    cursor: Option<Cursor<Key>>,
}

async fn payments(
    State(pool): State<PgPool>,
    Params(query): Params<Query>,
) -> Result<Page<Payment>, Problem> {
    let (before, before_id) = query.cursor.map(|Cursor(key)| key).unzip();
    if before.is_some_and(|before: OffsetDateTime| before.year() < 1970) {
        return Err(Problem::field("cursor", "is not a cursor that this list has given out"));
    }
    let rows = sqlx::query(
        "SELECT order_id, amount, currency, method, authorisation, status, reason,
                created_at, updated_at
         FROM payment
         WHERE ($1::uuid IS NULL OR order_id = $1)
           AND ($2::timestamptz IS NULL OR (created_at, order_id) < ($2, $3))
         ORDER BY created_at DESC, order_id DESC
         LIMIT $4",
    )
    .bind(query.order_id)
    .bind(before)
    .bind(before_id)
    .bind(query.limit.rows())
    .fetch_all(&pool)
    .await
    .map_err(store::problem)?;
    let items: Result<Vec<_>, _> = rows.iter().map(read).collect();
    let items = items.map_err(store::problem)?;
    Ok(Page::cut(items, query.limit, |item| (item.created_at, item.order_id)))
}

async fn payment(
    State(pool): State<PgPool>,
    PathId(order_id): PathId<Uuid>,
) -> Result<Json<Payment>, Problem> {
    let row = sqlx::query(
        "SELECT order_id, amount, currency, method, authorisation, status, reason,
                created_at, updated_at
         FROM payment WHERE order_id = $1",
    )
    .bind(order_id)
    .fetch_optional(&pool)
    .await
    .map_err(store::problem)?;
    match row.as_ref().map(read) {
        Some(Ok(payment)) => Ok(Json(payment)),
        Some(Err(error)) => Err(store::problem(error)),
        None => Err(Problem::not_found(format!("no payment for order {order_id}"))),
    }
}

fn read(row: &PgRow) -> Result<Payment, sqlx::Error> {
    let currency: serde_json::Value = row.try_get::<String, _>("currency")?.into();
    let currency =
        serde_json::from_value(currency).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    Ok(Payment {
        order_id: row.try_get("order_id")?,
        amount: Money::new(row.try_get("amount")?, currency),
        method: row.try_get("method")?,
        authorisation: row.try_get("authorisation")?,
        status: row.try_get("status")?,
        reason: row.try_get("reason")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
    })
}
