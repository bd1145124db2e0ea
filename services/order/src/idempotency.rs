//! The `Idempotency-Key` of a submission: the same key with the same body is the same order.

use axum::http::HeaderMap;
use runtime::http::Problem;
use sqlx::PgConnection;
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

/// What use of a key a submission is.
#[derive(Debug)]
pub enum Use {
    /// Nobody used it before: it is ours if the transaction commits.
    First,
    /// The same body came before: this is what was answered.
    Again { order_id: Uuid, response: String },
    /// Another body came before.
    Other,
}

/// Claims `key` for the order. Waits for a submission that holds the same key at this moment, and
/// then sees its answer.
pub async fn claim(
    sql: &mut PgConnection,
    key: &str,
    canonical_body: &str,
    order_id: Uuid,
    response: &str,
) -> sqlx::Result<Use> {
    let claimed = sqlx::query(
        "INSERT INTO idempotency (key, body_digest, order_id, response)
         VALUES ($1, sha256(convert_to($2, 'UTF8')), $3, $4) ON CONFLICT (key) DO NOTHING",
    )
    .bind(key)
    .bind(canonical_body)
    .bind(order_id)
    .bind(response)
    .execute(&mut *sql)
    .await?;
    if claimed.rows_affected() == 1 {
        return Ok(Use::First);
    }
    let (same, order_id, response): (bool, Uuid, String) = sqlx::query_as(
        "SELECT body_digest = sha256(convert_to($2, 'UTF8')), order_id, response
         FROM idempotency WHERE key = $1",
    )
    .bind(key)
    .bind(canonical_body)
    .fetch_one(sql)
    .await?;
    Ok(if same { Use::Again { order_id, response } } else { Use::Other })
}
