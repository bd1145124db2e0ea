//! The numbers, kept as events come in: in any order, and once for each order and ending.

use contracts::{Money, SagaId};
use sqlx::PgConnection;

/// A longer reason is cut: it is part of an index, and meant for grouping.
const MAX_REASON: usize = 300;

/// How an order ended.
#[derive(Debug)]
pub enum Ending<'a> {
    Confirmed,
    Cancelled { cause: &'a str, reason: &'a str },
}

/// Takes note that there is such an order. Any event says so, whichever comes first.
pub async fn note(
    sql: &mut PgConnection,
    order: SagaId,
    customer_id: &str,
    total: &Money,
) -> sqlx::Result<()> {
    // Waits for any other batch to finish: from here on there is no lock to quarrel about.
    sqlx::query("SELECT FROM totals FOR UPDATE").execute(&mut *sql).await?;
    sqlx::query(
        "WITH new AS (
            INSERT INTO orders (order_id, customer_id, amount, currency) VALUES ($1, $2, $3, $4)
            ON CONFLICT (order_id) DO NOTHING RETURNING order_id
         )
         UPDATE totals SET created = created + 1 FROM new",
    )
    .bind(order.0)
    .bind(customer_id)
    .bind(total.amount)
    .bind(total.currency.as_str())
    .execute(sql)
    .await?;
    Ok(())
}

/// Closes a noted order and counts its ending, unless it has ended before.
pub async fn close(sql: &mut PgConnection, order: SagaId, ending: Ending<'_>) -> sqlx::Result<()> {
    match ending {
        Ending::Confirmed => {
            sqlx::query(
                "WITH closed AS (
                    UPDATE orders SET status = 'confirmed', updated_at = now()
                    WHERE order_id = $1 AND status = 'pending' RETURNING amount, currency
                 ), earned AS (
                    INSERT INTO revenue (currency, amount) SELECT currency, amount FROM closed
                    ON CONFLICT (currency) DO UPDATE SET amount = revenue.amount + excluded.amount
                 )
                 UPDATE totals SET confirmed = confirmed + 1 FROM closed",
            )
            .bind(order.0)
            .execute(sql)
            .await?;
        }
        Ending::Cancelled { cause, reason } => {
            let reason: String = reason.chars().take(MAX_REASON).collect();
            sqlx::query(
                "WITH closed AS (
                    UPDATE orders SET status = 'cancelled', cause = $2, reason = $3,
                                      updated_at = now()
                    WHERE order_id = $1 AND status = 'pending' RETURNING order_id
                 ), failed AS (
                    INSERT INTO failure (cause, reason, count) SELECT $2, $3, 1 FROM closed
                    ON CONFLICT (cause, reason) DO UPDATE SET count = failure.count + 1
                 )
                 UPDATE totals SET cancelled = cancelled + 1 FROM closed",
            )
            .bind(order.0)
            .bind(cause)
            .bind(reason)
            .execute(sql)
            .await?;
        }
    }
    Ok(())
}
