//! The shelf: every unit that came in is free, reserved for an order, or shipped. Each movement
//! locks its products in the order of their ids, so that no two orders wait for each other.

use contracts::inventory::{Line, StockRefusal};
use sqlx::PgConnection;
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// Holds every line for the order, or none. The caller's transaction must be undone on a refusal.
pub async fn reserve(
    sql: &mut PgConnection,
    order: Uuid,
    lines: &[Line],
) -> sqlx::Result<Result<(), StockRefusal>> {
    let wanted = per_product(lines);
    let (products, quantities): (Vec<&str>, Vec<i64>) = wanted.iter().unzip();
    let free: HashMap<String, i64> = sqlx::query_as(
        "SELECT product_id, free FROM product WHERE product_id = ANY($1)
         ORDER BY product_id FOR NO KEY UPDATE",
    )
    .bind(&products)
    .fetch_all(&mut *sql)
    .await?
    .into_iter()
    .collect();
    if let Some(refusal) = refusal(&wanted, &free) {
        return Ok(Err(refusal));
    }
    sqlx::query(
        "WITH line AS (
            INSERT INTO hold (order_id, product_id, quantity)
            SELECT $1, * FROM unnest($2::text[], $3::bigint[]) RETURNING product_id, quantity
         )
         UPDATE product SET free = free - quantity, reserved = reserved + quantity
         FROM line WHERE product.product_id = line.product_id",
    )
    .bind(order)
    .bind(&products)
    .bind(&quantities)
    .execute(sql)
    .await?;
    Ok(Ok(()))
}

/// One quantity for each product, should one be named twice.
fn per_product(lines: &[Line]) -> BTreeMap<&str, i64> {
    let mut wanted = BTreeMap::new();
    for line in lines {
        *wanted.entry(line.product_id.as_str()).or_default() += i64::from(line.quantity);
    }
    wanted
}

fn refusal(wanted: &BTreeMap<&str, i64>, free: &HashMap<String, i64>) -> Option<StockRefusal> {
    wanted.iter().find_map(|(&product, &quantity)| {
        let product_id = product.to_owned();
        match free.get(product) {
            None => Some(StockRefusal::UnknownProduct { product_id }),
            Some(&free) if free < quantity => Some(StockRefusal::OutOfStock {
                product_id,
                wanted: narrow(quantity),
                free: narrow(free),
            }),
            Some(_) => None,
        }
    })
}

/// For the words of a refusal, whose numbers are narrower than the shelf's.
fn narrow(quantity: i64) -> i32 {
    i32::try_from(quantity).unwrap_or(i32::MAX)
}

/// Where a hold goes, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Movement {
    /// Reserved → free.
    Release,
    /// Reserved → shipped.
    Ship,
}

/// Moves all that is held for the order; what has moved before stays where it is. Answers how many
/// products moved.
pub async fn settle(sql: &mut PgConnection, order: Uuid, to: Movement) -> sqlx::Result<u64> {
    sqlx::query(
        "SELECT FROM product WHERE product_id IN
            (SELECT product_id FROM hold WHERE order_id = $1 AND status = 'held')
         ORDER BY product_id FOR NO KEY UPDATE",
    )
    .bind(order)
    .execute(&mut *sql)
    .await?;
    let statement = match to {
        Movement::Release => {
            "WITH line AS (
                UPDATE hold SET status = 'released', updated_at = now()
                WHERE order_id = $1 AND status = 'held' RETURNING product_id, quantity
             )
             UPDATE product SET reserved = reserved - quantity, free = free + quantity
             FROM line WHERE product.product_id = line.product_id"
        }
        Movement::Ship => {
            "WITH line AS (
                UPDATE hold SET status = 'shipped', updated_at = now()
                WHERE order_id = $1 AND status = 'held' RETURNING product_id, quantity
             )
             UPDATE product SET reserved = reserved - quantity, shipped = shipped + quantity
             FROM line WHERE product.product_id = line.product_id"
        }
    };
    Ok(sqlx::query(statement).bind(order).execute(sql).await?.rows_affected())
}

/// The status that all holds of the order have, if there are any.
pub async fn status(sql: &mut PgConnection, order: Uuid) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar("SELECT status FROM hold WHERE order_id = $1 LIMIT 1")
        .bind(order)
        .fetch_optional(sql)
        .await
}
