//! A product and its stock, as stored and as shown.

use contracts::{Currency, Money};
use serde::Serialize;
use sqlx::{PgExecutor, Row, postgres::PgRow};

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Product {
    pub product_id: String,
    pub name: String,
    /// Of one unit.
    pub price: Money,
    /// There for the next order.
    pub free: i64,
    /// Held for orders whose saga has not ended.
    pub reserved: i64,
    /// Gone with confirmed orders.
    pub shipped: i64,
    /// On the shelf at the beginning; with `restocked` it is the sum of the three above.
    pub initial: i64,
    /// Came in since.
    pub restocked: i64,
}

impl<'r> sqlx::FromRow<'r, PgRow> for Product {
    fn from_row(row: &'r PgRow) -> sqlx::Result<Self> {
        let code: &str = row.try_get("currency")?;
        let currency = Currency::new(code).ok_or_else(|| sqlx::Error::ColumnDecode {
            index: "currency".to_owned(),
            source: format!("{code:?} is not an ISO 4217 code").into(),
        })?;
        Ok(Product {
            product_id: row.try_get("product_id")?,
            name: row.try_get("name")?,
            price: Money::new(row.try_get("amount")?, currency),
            free: row.try_get("free")?,
            reserved: row.try_get("reserved")?,
            shipped: row.try_get("shipped")?,
            initial: row.try_get("initial")?,
            restocked: row.try_get("restocked")?,
        })
    }
}

impl Product {
    pub async fn find(sql: impl PgExecutor<'_>, product_id: &str) -> sqlx::Result<Option<Self>> {
        sqlx::query_as("SELECT * FROM product WHERE product_id = $1")
            .bind(product_id)
            .fetch_optional(sql)
            .await
    }

    /// The products whose ids come after `after`, by id.
    pub async fn list(
        sql: impl PgExecutor<'_>,
        after: Option<&str>,
        limit: i64,
    ) -> sqlx::Result<Vec<Self>> {
        sqlx::query_as(
            "SELECT * FROM product WHERE $1::text IS NULL OR product_id > $1
             ORDER BY product_id LIMIT $2",
        )
        .bind(after)
        .bind(limit)
        .fetch_all(sql)
        .await
    }
}
