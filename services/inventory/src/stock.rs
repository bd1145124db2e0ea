//! The shelf: every unit that came in is free, reserved for an order, or shipped. Each movement
//! locks its products in the order of their ids, so that no two orders wait for each other.

use contracts::inventory::{Line, StockRefusal};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use uuid::Uuid;

/// Holds every line of each order or none, in their order: who comes first is served first.
/// Nothing is written for one that is refused.
pub async fn reserve(
    sql: &mut PgConnection,
    orders: &[(Uuid, &[Line])],
) -> sqlx::Result<Vec<Result<(), StockRefusal>>> {
    let orders: Vec<_> = orders.iter().map(|(order, lines)| (*order, per_product(lines))).collect();
    let products: BTreeSet<&str> = orders.iter().flat_map(|(_, it)| it.keys().copied()).collect();
    let products: Vec<&str> = products.into_iter().collect();
    let mut free: HashMap<String, i64> = sqlx::query_as(
        "SELECT product_id, free FROM product WHERE product_id = ANY($1)
         ORDER BY product_id FOR NO KEY UPDATE",
    )
    .bind(&products)
    .fetch_all(&mut *sql)
    .await?
    .into_iter()
    .collect();
    let (mut replies, mut holds) = (Vec::with_capacity(orders.len()), Vec::new());
    for (order, wanted) in orders {
        if let Some(refusal) = refusal(&wanted, &free) {
            replies.push(Err(refusal));
            continue;
        }
        for (product, quantity) in wanted {
            if let Some(left) = free.get_mut(product) {
                *left -= quantity;
            }
            holds.push((order, product, quantity));
        }
        replies.push(Ok(()));
    }
    if holds.is_empty() {
        return Ok(replies);
    }
    sqlx::query(
        "WITH line AS (
            INSERT INTO hold (order_id, product_id, quantity)
            SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[])
            RETURNING product_id, quantity
         ), moved AS (
            SELECT product_id, sum(quantity)::bigint AS quantity FROM line GROUP BY product_id
         )
         UPDATE product SET free = free - quantity, reserved = reserved + quantity
         FROM moved WHERE product.product_id = moved.product_id",
    )
    .bind(holds.iter().map(|(order, ..)| *order).collect::<Vec<_>>())
    .bind(holds.iter().map(|(_, product, _)| *product).collect::<Vec<_>>())
    .bind(holds.iter().map(|(.., quantity)| *quantity).collect::<Vec<_>>())
    .execute(sql)
    .await?;
    Ok(replies)
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

impl Movement {
    /// Of a hold that has moved this way.
    pub fn status(self) -> &'static str {
        match self {
            Movement::Release => "released",
            Movement::Ship => "shipped",
        }
    }
}

/// Moves all that is held for the orders; what has moved before stays where it is. Answers the
/// orders of which something moved.
pub async fn settle(
    sql: &mut PgConnection,
    orders: &[Uuid],
    to: Movement,
) -> sqlx::Result<HashSet<Uuid>> {
    sqlx::query(
        "SELECT FROM product WHERE product_id IN
            (SELECT product_id FROM hold WHERE order_id = ANY($1) AND status = 'held')
         ORDER BY product_id FOR NO KEY UPDATE",
    )
    .bind(orders)
    .execute(&mut *sql)
    .await?;
    let moved: Vec<Uuid> = sqlx::query_scalar(
        "WITH line AS (
            UPDATE hold SET status = $2, updated_at = now()
            WHERE order_id = ANY($1) AND status = 'held'
            RETURNING order_id, product_id, quantity
         ), moved AS (
            UPDATE product
               SET reserved = reserved - quantity,
                   free = free + CASE $2 WHEN 'released' THEN quantity ELSE 0 END,
                   shipped = shipped + CASE $2 WHEN 'shipped' THEN quantity ELSE 0 END
              FROM (SELECT product_id, sum(quantity)::bigint AS quantity
                      FROM line GROUP BY product_id) AS sum
             WHERE product.product_id = sum.product_id
         )
         SELECT DISTINCT order_id FROM line",
    )
    .bind(orders)
    .bind(to.status())
    .fetch_all(sql)
    .await?;
    Ok(moved.into_iter().collect())
}

/// The status that all holds of the order have, if there are any.
pub async fn status(sql: &mut PgConnection, order: Uuid) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar("SELECT status FROM hold WHERE order_id = $1 LIMIT 1")
        .bind(order)
        .fetch_optional(sql)
        .await
}
