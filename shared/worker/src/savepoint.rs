//! One savepoint per handler, moved along the batch: a handler that does not answer done leaves
//! nothing behind, and the others of its batch do not notice.

use sqlx::PgConnection;

/// Opens the batch's first savepoint.
pub(crate) async fn open(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("SAVEPOINT handler").execute(connection).await.map(drop)
}

/// Keeps what was written since the savepoint, and opens the next one: one round trip. Fails
/// when the handler swallowed a database error, for then the transaction can only go back.
pub(crate) async fn keep(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("RELEASE SAVEPOINT handler; SAVEPOINT handler")
        .execute(connection)
        .await
        .map(drop)
}

/// Goes back to the savepoint, which stays open for the next handler.
pub(crate) async fn undo(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("ROLLBACK TO SAVEPOINT handler").execute(connection).await.map(drop)
}
