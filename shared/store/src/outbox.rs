//! The outbox: messages that begin outside the broker, stored with the state that they tell of.
//! The [`Relay`](crate::relay::Relay) sends them on.

use messaging::Outgoing;
use sqlx::{PgConnection, PgPool, Row as _, types::Json};

/// A stored message, taken by one relay.
#[derive(Clone, Debug)]
pub struct Taken {
    pub id: i64,
    pub message: Outgoing,
}

/// Stores messages in the caller's transaction. Nudge the relay once that is committed.
pub async fn put(connection: &mut PgConnection, messages: &[Outgoing]) -> Result<(), sqlx::Error> {
    if messages.is_empty() {
        return Ok(());
    }
    sqlx::query("INSERT INTO outbox (message) SELECT unnest($1::jsonb[])")
        .bind(messages.iter().map(Json).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}

/// Takes up to `most` messages, oldest first, that nobody else has taken. They are this relay's
/// for `seconds`; one that is not deleted by then is anybody's again.
pub async fn take(pool: &PgPool, most: i64, seconds: f64) -> Result<Vec<Taken>, sqlx::Error> {
    let rows = sqlx::query(
        "UPDATE outbox SET taken_until = now() + make_interval(secs => $2)
         WHERE id IN (
             SELECT id FROM outbox
             WHERE taken_until IS NULL OR taken_until < now()
             ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED)
         RETURNING id, message",
    )
    .bind(most)
    .bind(seconds)
    .fetch_all(pool)
    .await?;
    let mut taken = rows
        .iter()
        .map(|row| {
            let Json(message) = row.try_get("message")?;
            Ok(Taken { id: row.try_get("id")?, message })
        })
        .collect::<Result<Vec<_>, sqlx::Error>>()?;
    taken.sort_by_key(|taken| taken.id);
    Ok(taken)
}

/// Gives messages back that could not be sent.
pub async fn release(pool: &PgPool, ids: &[i64]) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE outbox SET taken_until = NULL WHERE id = ANY ($1)")
        .bind(ids)
        .execute(pool)
        .await?;
    Ok(())
}

/// Deletes messages that were sent.
pub async fn sent(pool: &PgPool, ids: &[i64]) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM outbox WHERE id = ANY ($1)").bind(ids).execute(pool).await?;
    Ok(())
}

/// How many messages wait to be sent.
pub async fn backlog(pool: &PgPool) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT count(*) FROM outbox").fetch_one(pool).await
}
