//! Stock that comes in. The same key brings the same answer and adds nothing.

use sqlx::{PgConnection, PgPool};

use crate::product::Product;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no such product")]
    UnknownProduct,
    #[error("the idempotency key was used for another product or quantity")]
    KeyTaken,
    #[error("cannot write the answer")]
    Encode(#[from] serde_json::Error),
    #[error("cannot store the delivery")]
    Storage(#[from] sqlx::Error),
}

/// Adds `quantity` units. Answers the product as it was then, as JSON, byte for byte the same for
/// the same key.
pub async fn restock(
    pool: &PgPool,
    key: Option<&str>,
    product_id: &str,
    quantity: i64,
) -> Result<String, Error> {
    let mut tx = pool.begin().await?;
    // Waits for a request that uses the same key at this moment.
    let entry: Option<i64> = sqlx::query_scalar(
        "INSERT INTO restock (idempotency_key, product_id, quantity)
         SELECT $1, product_id, $3 FROM product WHERE product_id = $2
         ON CONFLICT (idempotency_key) DO NOTHING RETURNING id",
    )
    .bind(key)
    .bind(product_id)
    .bind(quantity)
    .fetch_optional(&mut *tx)
    .await?;
    let Some(entry) = entry else { return known(&mut tx, key, product_id, quantity).await };
    let product: Product = sqlx::query_as(
        "UPDATE product SET free = free + $2, restocked = restocked + $2
         WHERE product_id = $1 RETURNING *",
    )
    .bind(product_id)
    .bind(quantity)
    .fetch_one(&mut *tx)
    .await?;
    let response = serde_json::to_string(&product)?;
    sqlx::query("UPDATE restock SET response = $2 WHERE id = $1")
        .bind(entry)
        .bind(&response)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(response)
}

/// Nothing was added: the key is known, or the product is not.
async fn known(
    sql: &mut PgConnection,
    key: Option<&str>,
    product_id: &str,
    quantity: i64,
) -> Result<String, Error> {
    let known: Option<(bool, String)> = sqlx::query_as(
        "SELECT product_id = $2 AND quantity = $3, response FROM restock
         WHERE idempotency_key = $1",
    )
    .bind(key)
    .bind(product_id)
    .bind(quantity)
    .fetch_optional(sql)
    .await?;
    match known {
        Some((true, response)) => Ok(response),
        Some((false, _)) => Err(Error::KeyTaken),
        None => Err(Error::UnknownProduct),
    }
}
