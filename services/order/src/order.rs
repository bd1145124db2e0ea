//! An order as stored and as shown.

use contracts::{
    Currency, Money, SagaId,
    inventory::Line,
    order::{OrderCancelled, OrderConfirmed, OrderCreated, PlaceOrderInput},
    shipping::Address,
};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgExecutor, Row, postgres::PgRow, types::Json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::submission::Accepted;

/// One line of an order, with the price it was submitted at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Item {
    pub product_id: String,
    pub name: String,
    pub quantity: i32,
    /// Of one unit.
    pub price: Money,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The saga has not ended.
    Pending,
    Confirmed,
    Cancelled,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::Confirmed => "confirmed",
            Status::Cancelled => "cancelled",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        [Status::Pending, Status::Confirmed, Status::Cancelled]
            .into_iter()
            .find(|status| status.as_str() == word)
    }
}

/// An order as `GET /api/v1/orders/{id}` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct Order {
    pub order_id: Uuid,
    /// The same id: the order's saga.
    pub saga_id: Uuid,
    pub customer_id: String,
    pub status: Status,
    /// Why it was cancelled, for the customer.
    pub reason: Option<String>,
    /// Why it was cancelled, for counting: the step that failed, or `cancelled`.
    pub cause: Option<String>,
    pub items: Vec<Item>,
    pub total: Money,
    pub payment_method: String,
    pub ship_to: Address,
    pub tracking: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When the saga took it into work.
    #[serde(with = "time::serde::rfc3339::option")]
    pub opened_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

impl<'r> sqlx::FromRow<'r, PgRow> for Order {
    fn from_row(row: &'r PgRow) -> sqlx::Result<Self> {
        let id = row.try_get("id")?;
        let Json(items) = row.try_get("items")?;
        let Json(ship_to) = row.try_get("ship_to")?;
        Ok(Order {
            order_id: id,
            saga_id: id,
            customer_id: row.try_get("customer_id")?,
            status: word(row, "status", Status::parse)?,
            reason: row.try_get("reason")?,
            cause: row.try_get("cause")?,
            items,
            total: Money::new(row.try_get("amount")?, word(row, "currency", Currency::new)?),
            payment_method: row.try_get("payment_method")?,
            ship_to,
            tracking: row.try_get("tracking")?,
            created_at: row.try_get("created_at")?,
            opened_at: row.try_get("opened_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    }
}

/// Reads a text column as one of few words.
pub(crate) fn word<T>(
    row: &PgRow,
    column: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> sqlx::Result<T> {
    let text: &str = row.try_get(column)?;
    parse(text).ok_or_else(|| sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: format!("{text:?} is not a {column}").into(),
    })
}

impl Order {
    pub async fn find(sql: impl PgExecutor<'_>, id: Uuid) -> sqlx::Result<Option<Self>> {
        sqlx::query_as("SELECT * FROM orders WHERE id = $1").bind(id).fetch_optional(sql).await
    }

    /// Newest first, from before `before` on. Each filter has its own index to walk backwards.
    pub async fn list(
        sql: impl PgExecutor<'_>,
        status: Option<Status>,
        customer_id: Option<&str>,
        before: Option<Uuid>,
        limit: i64,
    ) -> sqlx::Result<Vec<Self>> {
        sqlx::query_as(
            "SELECT * FROM orders
             WHERE ($1::text IS NULL OR status = $1)
               AND ($2::text IS NULL OR customer_id = $2)
               AND ($3::uuid IS NULL OR id < $3)
             ORDER BY id DESC LIMIT $4",
        )
        .bind(status.map(Status::as_str))
        .bind(customer_id)
        .bind(before)
        .bind(limit)
        .fetch_all(sql)
        .await
    }

    pub fn saga(&self) -> SagaId {
        SagaId(self.saga_id)
    }

    pub fn lines(&self) -> Vec<Line> {
        lines(&self.items)
    }

    /// What its saga is started with.
    pub fn start(&self) -> PlaceOrderInput {
        PlaceOrderInput {
            customer_id: self.customer_id.clone(),
            lines: self.lines(),
            total: self.total.clone(),
            payment_method: self.payment_method.clone(),
            ship_to: self.ship_to.clone(),
        }
    }

    pub fn confirmed(&self) -> OrderConfirmed {
        OrderConfirmed {
            order: self.saga(),
            customer_id: self.customer_id.clone(),
            lines: self.lines(),
            total: self.total.clone(),
        }
    }

    /// The event of a cancelled order.
    pub fn cancelled(&self) -> OrderCancelled {
        OrderCancelled {
            order: self.saga(),
            customer_id: self.customer_id.clone(),
            total: self.total.clone(),
            reason: self.reason.clone().unwrap_or_default(),
            cause: self.cause.clone().unwrap_or_default(),
        }
    }
}

impl Accepted {
    pub fn created(&self, id: Uuid) -> OrderCreated {
        OrderCreated {
            order: SagaId(id),
            customer_id: self.customer_id.clone(),
            lines: lines(&self.items),
            total: self.total.clone(),
        }
    }

    pub fn start(&self) -> PlaceOrderInput {
        PlaceOrderInput {
            customer_id: self.customer_id.clone(),
            lines: lines(&self.items),
            total: self.total.clone(),
            payment_method: self.payment_method.clone(),
            ship_to: self.ship_to.clone(),
        }
    }
}

/// Stores orders that are taken in.
pub async fn insert(sql: &mut PgConnection, orders: &[(Uuid, &Accepted)]) -> sqlx::Result<()> {
    if orders.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO orders (id, customer_id, items, amount, currency, payment_method, ship_to)
         SELECT * FROM unnest($1::uuid[], $2::text[], $3::jsonb[], $4::bigint[], $5::text[],
                              $6::text[], $7::jsonb[])",
    )
    .bind(orders.iter().map(|(id, _)| *id).collect::<Vec<_>>())
    .bind(orders.iter().map(|(_, it)| it.customer_id.as_str()).collect::<Vec<_>>())
    .bind(orders.iter().map(|(_, it)| Json(&it.items)).collect::<Vec<_>>())
    .bind(orders.iter().map(|(_, it)| it.total.amount).collect::<Vec<_>>())
    .bind(orders.iter().map(|(_, it)| it.total.currency.as_str()).collect::<Vec<_>>())
    .bind(orders.iter().map(|(_, it)| it.payment_method.as_str()).collect::<Vec<_>>())
    .bind(orders.iter().map(|(_, it)| Json(&it.ship_to)).collect::<Vec<_>>())
    .execute(sql)
    .await
    .map(drop)
}

fn lines(items: &[Item]) -> Vec<Line> {
    items
        .iter()
        .map(|item| Line { product_id: item.product_id.clone(), quantity: item.quantity })
        .collect()
}
