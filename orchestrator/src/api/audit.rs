//! The audit trail: who asked for what, and what came of it.

use super::{
    Desk,
    list::{micros, place},
    problem,
    schema::{Listed, ProblemBody},
};
use crate::audit::Action;
use axum::{Json, extract::State};
use runtime::{
    http::{Params, Problem},
    page::{Cursor, Limit, Page},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{Postgres, QueryBuilder};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    verb: Option<String>,
    saga_id: Option<Uuid>,
    dead_letter: Option<Uuid>,
    by: Option<String>,
    /// 50 when not said.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200)]
    limit: Limit,
    /// The `next` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<(i64, Uuid)>>,
}

/// What an operator asked for.
#[derive(Debug, Serialize, ToSchema)]
pub struct Audited {
    audit_id: Uuid,
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    /// As told by whoever asked.
    by: Option<String>,
    verb: String,
    reason: String,
    saga_id: Option<Uuid>,
    dead_letter: Option<Uuid>,
    /// Of a verb for many: which they were to be.
    #[schema(value_type = Option<Object>)]
    filter: Option<Value>,
    accepted: bool,
    /// What came of it.
    text: String,
}

/// What operators asked for, newest first.
#[utoipa::path(get, path = "/api/v1/audit", operation_id = "list-audit", params(Wanted), responses(
    (status = 200, body = Listed<Audited>, description = "One page."),
    (status = 422, body = ProblemBody, content_type = "application/problem+json", description = "A filter is not acceptable."),
))]
pub async fn audit(
    State(desk): State<Desk>,
    Params(wanted): Params<Wanted>,
) -> Result<Json<Page<Audited>>, Problem> {
    for (name, word) in [("verb", &wanted.verb), ("by", &wanted.by)] {
        if word.as_ref().is_some_and(|word| word.contains('\0')) {
            return Err(Problem::field(name, "has no NUL characters"));
        }
    }
    let mut sql = QueryBuilder::<Postgres>::new(
        "SELECT audit_id, at, by, verb, reason, saga_id, dead_letter, filter, accepted, text
           FROM operator_action WHERE true",
    );
    if let Some(verb) = wanted.verb {
        sql.push(" AND verb = ").push_bind(verb);
    }
    if let Some(saga) = wanted.saga_id {
        sql.push(" AND saga_id = ").push_bind(saga);
    }
    if let Some(letter) = wanted.dead_letter {
        sql.push(" AND dead_letter = ").push_bind(letter);
    }
    if let Some(by) = wanted.by {
        sql.push(" AND by = ").push_bind(by);
    }
    if let Some(cursor) = &wanted.cursor {
        let (at, id) = place(cursor)?;
        sql.push(" AND (at, audit_id) < (").push_bind(at).push(", ").push_bind(id).push(")");
    }
    sql.push(" ORDER BY at DESC, audit_id DESC LIMIT ").push_bind(wanted.limit.rows());
    let actions: Vec<Action> =
        sql.build_query_as().fetch_all(&desk.engine.pool).await.map_err(problem)?;
    let page = Page::cut(actions, wanted.limit, |action| (micros(action.at), action.audit_id));
    Ok(Json(page.map(Audited::from)))
}

impl From<Action> for Audited {
    fn from(action: Action) -> Self {
        let Action { audit_id, at, by, verb, reason, saga_id, dead_letter, .. } = action;
        let Action { filter, accepted, text, .. } = action;
        let filter = filter.map(|filter| filter.0);
        Audited { audit_id, at, by, verb, reason, saga_id, dead_letter, filter, accepted, text }
    }
}
