//! What has become of orders, for whoever asks. Events are told once by RabbitMQ, and are gone with
//! the queue of a subscriber; what they tell of stays in this table, and is told again from it.

use contracts::EventEnvelope;
use serde::{Deserialize, Serialize};
use sqlx::PgExecutor;
use std::time::Duration;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::order::{Order, Status};

/// Endings that are younger are on their way by RabbitMQ, most likely.
pub const YOUNG: Duration = Duration::from_secs(3);

/// How far somebody has asked: behind this order's ending.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Place {
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    order_id: Uuid,
}

impl Place {
    pub fn of(order: &Order) -> Self {
        Place { at: order.updated_at, order_id: order.order_id }
    }
}

/// Orders that have ended, in the order in which they did, from behind `after` on; not those younger
/// than `young`, nor any since the beginning of a transaction that still runs: an ending bears the
/// time at which its transaction began, and what is committed later must not come before what was
/// told already.
pub async fn endings(
    sql: impl PgExecutor<'_>,
    after: Option<&Place>,
    limit: i64,
    young: Duration,
) -> sqlx::Result<Vec<Order>> {
    sqlx::query_as(
        "SELECT * FROM orders
          WHERE status <> 'pending'
            AND ($1::timestamptz IS NULL OR (updated_at, id) > ($1, $2))
            AND updated_at < least(now(), (
                SELECT min(xact_start) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()
                )) - make_interval(secs => $4)
          ORDER BY updated_at, id LIMIT $3",
    )
    .bind(after.map(|place| place.at))
    .bind(after.map(|place| place.order_id))
    .bind(limit)
    .bind(young.as_secs_f64())
    .fetch_all(sql)
    .await
}

/// The event that told of it.
pub fn event(order: &Order) -> Result<EventEnvelope, serde_json::Error> {
    match order.status {
        Status::Confirmed => EventEnvelope::of(order.saga(), &order.confirmed()),
        Status::Cancelled | Status::Pending => EventEnvelope::of(order.saga(), &order.cancelled()),
    }
}
