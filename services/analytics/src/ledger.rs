//! The numbers, kept as events come in: in any order, and once for each order and ending.

use contracts::{Money, SagaId};
use sqlx::PgConnection;
use uuid::Uuid;

/// A longer reason is cut: it is part of an index, and meant for grouping.
const MAX_REASON: usize = 300;

/// How an order ended.
#[derive(Debug)]
pub enum Ending<'a> {
    Confirmed,
    Cancelled { cause: &'a str, reason: &'a str },
}

/// An order, as every event tells of it.
#[derive(Debug)]
pub struct Noted<'a> {
    pub order: SagaId,
    pub customer_id: &'a str,
    pub total: &'a Money,
}

/// Takes note that there are such orders, each named once. Any event says so, whichever comes first.
pub async fn note(sql: &mut PgConnection, orders: &[Noted<'_>]) -> sqlx::Result<()> {
    // Waits for any other batch to finish: from here on there is no lock to quarrel about.
    sqlx::query("SELECT FROM totals FOR UPDATE").execute(&mut *sql).await?;
    sqlx::query(
        "WITH new AS (
            INSERT INTO orders (order_id, customer_id, amount, currency)
            SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[])
            ON CONFLICT (order_id) DO NOTHING RETURNING order_id
         ), counted AS (SELECT count(*) AS orders FROM new)
         UPDATE totals SET created = created + counted.orders FROM counted WHERE counted.orders > 0",
    )
    .bind(orders.iter().map(|noted| noted.order.0).collect::<Vec<_>>())
    .bind(orders.iter().map(|noted| noted.customer_id).collect::<Vec<_>>())
    .bind(orders.iter().map(|noted| noted.total.amount).collect::<Vec<_>>())
    .bind(orders.iter().map(|noted| noted.total.currency.as_str()).collect::<Vec<_>>())
    .execute(sql)
    .await?;
    Ok(())
}

/// Closes noted orders and counts their ending, except those that have ended before.
pub async fn close(
    sql: &mut PgConnection,
    orders: &[SagaId],
    ending: Ending<'_>,
) -> sqlx::Result<()> {
    let orders: Vec<Uuid> = orders.iter().map(|order| order.0).collect();
    match ending {
        Ending::Confirmed => {
            sqlx::query(
                "WITH closed AS (
                    UPDATE orders SET status = 'confirmed', updated_at = now()
                    WHERE order_id = ANY($1) AND status = 'pending' RETURNING amount, currency
                 ), earned AS (
                    INSERT INTO revenue (currency, amount)
                    SELECT currency, sum(amount)::bigint FROM closed GROUP BY currency
                    ON CONFLICT (currency) DO UPDATE SET amount = revenue.amount + excluded.amount
                 ), counted AS (SELECT count(*) AS orders FROM closed)
                 UPDATE totals SET confirmed = confirmed + counted.orders
                 FROM counted WHERE counted.orders > 0",
            )
            .bind(orders)
            .execute(sql)
            .await?;
        }
        Ending::Cancelled { cause, reason } => {
            let reason: String = reason.chars().take(MAX_REASON).collect();
            sqlx::query(
                "WITH closed AS (
                    UPDATE orders SET status = 'cancelled', cause = $2, reason = $3,
                                      updated_at = now()
                    WHERE order_id = ANY($1) AND status = 'pending' RETURNING order_id
                 ), counted AS (
                    SELECT count(*) AS orders FROM closed
                 ), failed AS (
                    INSERT INTO failure (cause, reason, count)
                    SELECT $2, $3, orders FROM counted WHERE orders > 0
                    ON CONFLICT (cause, reason)
                    DO UPDATE SET count = failure.count + excluded.count
                 )
                 UPDATE totals SET cancelled = cancelled + counted.orders
                 FROM counted WHERE counted.orders > 0",
            )
            .bind(orders)
            .bind(cause)
            .bind(reason)
            .execute(sql)
            .await?;
        }
    }
    Ok(())
}
