//! How far a subscriber has asked a publisher for what it has told.

use sqlx::PgPool;
use std::time::Duration;

/// Takes the place at which to ask on, for so long that nobody else asks meanwhile: `None` when
/// somebody does, `Some(None)` when nothing was asked yet.
pub async fn take(
    pool: &PgPool,
    publisher: &str,
    taken: Duration,
) -> Result<Option<Option<String>>, sqlx::Error> {
    sqlx::query("INSERT INTO retold (publisher) VALUES ($1) ON CONFLICT DO NOTHING")
        .bind(publisher)
        .execute(pool)
        .await?;
    sqlx::query_scalar(
        "UPDATE retold SET taken_until = now() + make_interval(secs => $2)
          WHERE publisher = $1 AND (taken_until IS NULL OR taken_until < now())
         RETURNING place",
    )
    .bind(publisher)
    .bind(taken.as_secs_f64())
    .fetch_optional(pool)
    .await
}

/// Gives it back, moved on to `next` if there was something to hear.
pub async fn leave(pool: &PgPool, publisher: &str, next: Option<&str>) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE retold SET taken_until = NULL, place = coalesce($2, place) WHERE publisher = $1",
    )
    .bind(publisher)
    .bind(next)
    .execute(pool)
    .await?;
    Ok(())
}
