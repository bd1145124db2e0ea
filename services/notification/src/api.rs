//! The REST side: what customers were told, and what is on its way to them.

use axum::{Router, extract::State, routing::get};
use runtime::{
    http::{Params, Problem},
    page::{Cursor, Limit, Page},
};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

pub fn router(pool: PgPool) -> Router {
    Router::new().route("/api/v1/notifications", get(notifications)).with_state(pool)
}

#[derive(Debug, Serialize, FromRow)]
struct Notification {
    order_id: Uuid,
    channel: String,
    recipient: String,
    subject: String,
    body: String,
    status: String,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    sent_at: Option<OffsetDateTime>,
}

/// Where a page ends: lists go from the newest to the oldest.
type Key = (OffsetDateTime, Uuid, String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    order_id: Option<Uuid>,
    #[serde(default)]
    limit: Limit,
    cursor: Option<Cursor<Key>>,
}

async fn notifications(
    State(pool): State<PgPool>,
    Params(query): Params<Query>,
) -> Result<Page<Notification>, Problem> {
    let foreign = |(before, _, channel): &Key| before.year() < 1970 || channel.contains('\0');
    let key = query.cursor.map(|Cursor(key)| key);
    if key.as_ref().is_some_and(foreign) {
        return Err(Problem::field("cursor", "is not a cursor that this list has given out"));
    }
    let items: Vec<Notification> = sqlx::query_as(
        "SELECT order_id, channel, recipient, subject, body, status, created_at, sent_at
         FROM notification
         WHERE ($1::uuid IS NULL OR order_id = $1)
           AND ($2::timestamptz IS NULL OR (created_at, order_id, channel) < ($2, $3, $4))
         ORDER BY created_at DESC, order_id DESC, channel DESC
         LIMIT $5",
    )
    .bind(query.order_id)
    .bind(key.as_ref().map(|key| key.0))
    .bind(key.as_ref().map(|key| key.1))
    .bind(key.as_ref().map(|key| key.2.as_str()))
    .bind(query.limit.rows())
    .fetch_all(&pool)
    .await
    .map_err(store::problem)?;
    let key = |item: &Notification| (item.created_at, item.order_id, item.channel.clone());
    Ok(Page::cut(items, query.limit, key))
}
