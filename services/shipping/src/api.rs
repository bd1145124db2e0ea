//! The REST side: shipments as this service knows them.

use axum::{Json, Router, extract::State, routing::get};
use contracts::{inventory::Line, shipping::Address};
use runtime::{
    http::{Params, PathId, Problem},
    page::{Cursor, Limit, Page},
};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

pub fn router(pool: PgPool) -> Router {
    Router::new()
        .route("/api/v1/shipments", get(shipments))
        .route("/api/v1/shipments/{order_id}", get(shipment))
        .with_state(pool)
}

#[derive(Debug, Serialize, FromRow)]
struct Shipment {
    order_id: Uuid,
    #[sqlx(json)]
    ship_to: Address,
    #[sqlx(json)]
    lines: Vec<Line>,
    /// The carrier's tracking number, once it has answered.
    tracking: Option<String>,
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

async fn shipments(
    State(pool): State<PgPool>,
    Params(query): Params<Query>,
) -> Result<Page<Shipment>, Problem> {
    let (before, before_id) = query.cursor.map(|Cursor(key)| key).unzip();
    if before.is_some_and(|before: OffsetDateTime| before.year() < 1970) {
        return Err(Problem::field("cursor", "is not a cursor that this list has given out"));
    }
    let items: Vec<Shipment> = sqlx::query_as(
        "SELECT order_id, ship_to, lines, tracking, status, reason, created_at, updated_at
         FROM shipment
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
    Ok(Page::cut(items, query.limit, |item| (item.created_at, item.order_id)))
}

async fn shipment(
    State(pool): State<PgPool>,
    PathId(order_id): PathId<Uuid>,
) -> Result<Json<Shipment>, Problem> {
    let found: Option<Shipment> = sqlx::query_as(
        "SELECT order_id, ship_to, lines, tracking, status, reason, created_at, updated_at
         FROM shipment WHERE order_id = $1",
    )
    .bind(order_id)
    .fetch_optional(&pool)
    .await
    .map_err(store::problem)?;
    let unknown = || Problem::not_found(format!("no shipment for order {order_id}"));
    found.map(Json).ok_or_else(unknown)
}
