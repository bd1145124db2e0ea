//! Which events a subscriber has taken in, so that one told twice counts once.

use sqlx::PgConnection;
use std::collections::HashSet;

/// Marks the events as seen and says which of them were new. In id order, so that two instances
/// never wait for each other in a circle.
pub async fn claim(
    connection: &mut PgConnection,
    ids: &[&str],
) -> Result<HashSet<String>, sqlx::Error> {
    let fresh: Vec<String> = sqlx::query_scalar(
        "INSERT INTO seen_event (event_id)
         SELECT DISTINCT id FROM unnest($1::text[]) AS told (id) ORDER BY id
         ON CONFLICT DO NOTHING
         RETURNING event_id",
    )
    .bind(ids)
    .fetch_all(connection)
    .await?;
    Ok(fresh.into_iter().collect())
}

/// Gives events back, as after a fault.
pub async fn forget(connection: &mut PgConnection, ids: &[&str]) -> Result<(), sqlx::Error> {
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query("DELETE FROM seen_event WHERE event_id = ANY ($1)")
        .bind(ids)
        .execute(connection)
        .await?;
    Ok(())
}
