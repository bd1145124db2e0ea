//! Who asked for what, and what came of it: rows that are only ever added.

use serde_json::Value;
use sqlx::{FromRow, PgConnection, types::Json};
use time::OffsetDateTime;
use uuid::Uuid;

/// A row of the table `operator_action`.
#[derive(Clone, Debug, FromRow)]
pub struct Action {
    pub audit_id: Uuid,
    pub at: OffsetDateTime,
    /// As told by whoever asked.
    pub by: Option<String>,
    pub verb: String,
    pub reason: String,
    pub saga_id: Option<Uuid>,
    pub dead_letter: Option<Uuid>,
    /// Of a verb for many: which they were to be.
    pub filter: Option<Json<Value>>,
    pub accepted: bool,
    /// For people: what came of it.
    pub text: String,
}

/// Adds rows; within the transaction of what they tell of, where that changes anything.
pub async fn add(connection: &mut PgConnection, actions: &[Action]) -> sqlx::Result<()> {
    for action in actions {
        sqlx::query(
            "INSERT INTO operator_action (audit_id, at, by, verb, reason, saga_id, dead_letter,
                                          filter, accepted, text)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(action.audit_id)
        .bind(action.at)
        .bind(&action.by)
        .bind(&action.verb)
        .bind(&action.reason)
        .bind(action.saga_id)
        .bind(action.dead_letter)
        .bind(&action.filter)
        .bind(action.accepted)
        .bind(&action.text)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
