//! What is held, or was, for an order.

use serde::{Deserialize, Serialize};
use sqlx::PgExecutor;
use time::OffsetDateTime;
use uuid::Uuid;

#[derive(Clone, Debug, Serialize, sqlx::FromRow)]
pub struct Hold {
    pub order_id: Uuid,
    pub product_id: String,
    pub quantity: i64,
    /// `held`, `released` or `shipped`.
    pub status: String,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// Where a page of holds ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Key {
    pub order_id: Uuid,
    pub product_id: String,
}

impl Hold {
    pub fn key(&self) -> Key {
        Key { order_id: self.order_id, product_id: self.product_id.clone() }
    }

    /// The holds that come after `after`, of one order or of all.
    pub async fn list(
        sql: impl PgExecutor<'_>,
        order_id: Option<Uuid>,
        after: Option<&Key>,
        limit: i64,
    ) -> sqlx::Result<Vec<Self>> {
        sqlx::query_as(
            "SELECT * FROM hold
             WHERE ($1::uuid IS NULL OR order_id = $1)
               AND ($2::uuid IS NULL OR (order_id, product_id) > ($2, $3))
             ORDER BY order_id, product_id LIMIT $4",
        )
        .bind(order_id)
        .bind(after.map(|key| key.order_id))
        .bind(after.map(|key| key.product_id.as_str()))
        .bind(limit)
        .fetch_all(sql)
        .await
    }
}
