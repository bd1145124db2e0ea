//! The `Idempotency-Key` of a submission: the same key with the same body is the same order.

use axum::http::HeaderMap;
use runtime::http::Problem;
use sqlx::{PgConnection, PgExecutor};
use std::collections::HashSet;
use uuid::Uuid;

const HEADER: &str = "idempotency-key";

/// The key the client sent, if any: 1 to 255 visible ASCII characters, at most once.
pub fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| {
        (1..=255).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
    });
    match (key, values.next()) {
        (Some(key), None) => Ok(Some(key.to_owned())),
        _ => Err(Problem::field(
            "Idempotency-Key",
            "must be sent once, with 1 to 255 visible ASCII characters",
        )),
    }
}

/// What use of a key came before.
#[derive(Debug)]
pub enum Use {
    /// With the same body: this is what was answered.
    Again { order_id: Uuid, response: String },
    /// With another body.
    Other,
}

/// A key for an order.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    pub key: &'a str,
    /// The canonical form of the body.
    pub canonical: &'a str,
    pub order_id: Uuid,
    pub response: &'a str,
}

/// Claims keys; the orders whose keys nobody used before, and which are theirs if the transaction
/// commits. Waits for a submission that holds one of the keys at this moment.
pub async fn claim(sql: &mut PgConnection, claims: &[Claim<'_>]) -> sqlx::Result<HashSet<Uuid>> {
    if claims.is_empty() {
        return Ok(HashSet::new());
    }
    let claimed: Vec<Uuid> = sqlx::query_scalar(
        "INSERT INTO idempotency (key, body_digest, order_id, response)
         SELECT key, sha256(convert_to(body, 'UTF8')), order_id, response
           FROM unnest($1::text[], $2::text[], $3::uuid[], $4::text[])
             AS claim (key, body, order_id, response)
          ORDER BY key
         ON CONFLICT (key) DO NOTHING
         RETURNING order_id",
    )
    .bind(claims.iter().map(|claim| claim.key).collect::<Vec<_>>())
    .bind(claims.iter().map(|claim| claim.canonical).collect::<Vec<_>>())
    .bind(claims.iter().map(|claim| claim.order_id).collect::<Vec<_>>())
    .bind(claims.iter().map(|claim| claim.response).collect::<Vec<_>>())
    .fetch_all(sql)
    .await?;
    Ok(claimed.into_iter().collect())
}

/// Gives back the keys of orders that are not to be.
pub async fn forget(sql: &mut PgConnection, orders: &[Uuid]) -> sqlx::Result<()> {
    if orders.is_empty() {
        return Ok(());
    }
    sqlx::query("DELETE FROM idempotency WHERE order_id = ANY($1)")
        .bind(orders)
        .execute(sql)
        .await
        .map(drop)
}

/// What `key` was used for, if it was.
pub async fn find(
    sql: impl PgExecutor<'_>,
    key: &str,
    canonical: &str,
) -> sqlx::Result<Option<Use>> {
    let used: Option<(bool, Uuid, String)> = sqlx::query_as(
        "SELECT body_digest = sha256(convert_to($2, 'UTF8')), order_id, response
         FROM idempotency WHERE key = $1",
    )
    .bind(key)
    .bind(canonical)
    .fetch_optional(sql)
    .await?;
    Ok(used.map(|(same, order_id, response)| match same {
        true => Use::Again { order_id, response },
        false => Use::Other,
    }))
}
