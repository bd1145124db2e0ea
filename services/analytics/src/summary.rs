//! What the numbers say, and the orders behind them.

use contracts::{Currency, Money};
use serde::{Deserialize, Serialize};
use sqlx::{PgExecutor, Row, postgres::PgRow, types::Json};
use time::OffsetDateTime;
use uuid::Uuid;

/// One look at all counters, taken in one statement, so that they agree with each other.
#[derive(Debug, PartialEq, Serialize)]
pub struct Summary {
    pub orders: Counts,
    /// Of confirmed orders, by currency.
    pub revenue: Vec<Money>,
    /// Most frequent first, at most 100.
    pub failures: Vec<Failure>,
}

/// `created` is the sum of the others.
#[derive(Debug, PartialEq, Serialize)]
pub struct Counts {
    pub created: i64,
    pub confirmed: i64,
    pub cancelled: i64,
    pub pending: i64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// The step that failed, or `cancelled`.
    pub cause: String,
    pub reason: String,
    pub count: i64,
}

impl Summary {
    pub async fn read(sql: impl PgExecutor<'_>) -> sqlx::Result<Self> {
        let row = sqlx::query(
            "SELECT created, confirmed, cancelled,
                (SELECT coalesce(jsonb_agg(to_jsonb(revenue) ORDER BY currency), '[]')
                 FROM revenue) AS revenue,
                (SELECT coalesce(jsonb_agg(to_jsonb(top)), '[]')
                 FROM (SELECT * FROM failure ORDER BY count DESC, cause, reason LIMIT 100) AS top
                ) AS failures
             FROM totals",
        )
        .fetch_one(sql)
        .await?;
        let (created, confirmed, cancelled): (i64, i64, i64) =
            (row.try_get("created")?, row.try_get("confirmed")?, row.try_get("cancelled")?);
        let Json(revenue) = row.try_get("revenue")?;
        let Json(failures) = row.try_get("failures")?;
        let pending = created - confirmed - cancelled;
        let orders = Counts { created, confirmed, cancelled, pending };
        Ok(Summary { orders, revenue, failures })
    }
}

/// An order as the events tell of it.
#[derive(Debug, Serialize)]
pub struct Order {
    /// Its place in the list; grows with every order first heard of.
    #[serde(skip)]
    pub seq: i64,
    pub order_id: Uuid,
    pub customer_id: String,
    /// `pending`, `confirmed` or `cancelled`.
    pub status: String,
    pub reason: Option<String>,
    pub cause: Option<String>,
    pub total: Money,
    #[serde(with = "time::serde::rfc3339")]
    pub seen_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

impl<'r> sqlx::FromRow<'r, PgRow> for Order {
    fn from_row(row: &'r PgRow) -> sqlx::Result<Self> {
        let code: &str = row.try_get("currency")?;
        let currency = Currency::new(code).ok_or_else(|| sqlx::Error::ColumnDecode {
            index: "currency".to_owned(),
            source: format!("{code:?} is not an ISO 4217 code").into(),
        })?;
        Ok(Order {
            seq: row.try_get("seq")?,
            order_id: row.try_get("order_id")?,
            customer_id: row.try_get("customer_id")?,
            status: row.try_get("status")?,
            reason: row.try_get("reason")?,
            cause: row.try_get("cause")?,
            total: Money::new(row.try_get("amount")?, currency),
            seen_at: row.try_get("seen_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    }
}

impl Order {
    /// Newest first, from before `before` on.
    pub async fn list(
        sql: impl PgExecutor<'_>,
        before: Option<i64>,
        limit: i64,
    ) -> sqlx::Result<Vec<Self>> {
        sqlx::query_as(
            "SELECT * FROM orders WHERE $1::bigint IS NULL OR seq < $1
             ORDER BY seq DESC LIMIT $2",
        )
        .bind(before)
        .bind(limit)
        .fetch_all(sql)
        .await
    }
}
