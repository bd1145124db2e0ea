//! Lists: sagas by what is wanted of them, and the definitions.

use super::{Desk, problem};
use crate::record::Reason;
use axum::{Json, extract::State};
use runtime::{
    http::{Params, Problem},
    page::{Cursor, Limit, Page},
};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, types::Json as Column};
use time::OffsetDateTime;
use uuid::Uuid;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    #[serde(default)]
    limit: Limit,
    cursor: Option<Cursor<(i64, Uuid)>>,
    state: Option<StateWord>,
    definition: Option<String>,
    parked: Option<bool>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum StateWord {
    Running,
    Compensating,
    Completed,
    Compensated,
}

impl StateWord {
    fn as_str(self) -> &'static str {
        match self {
            StateWord::Running => "running",
            StateWord::Compensating => "compensating",
            StateWord::Completed => "completed",
            StateWord::Compensated => "compensated",
        }
    }
}

#[derive(Debug, FromRow, Serialize)]
pub struct Item {
    saga_id: Uuid,
    definition: String,
    version: i32,
    state: String,
    /// The step that cannot go on alone.
    parked: Option<String>,
    cause: Option<Column<Reason>>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    ended_at: Option<OffsetDateTime>,
}

pub async fn sagas(
    State(desk): State<Desk>,
    Params(wanted): Params<Wanted>,
) -> Result<Page<Item>, Problem> {
    if wanted.definition.as_ref().is_some_and(|name| name.contains('\0')) {
        return Err(Problem::field("definition", "has no NUL characters"));
    }
    let (after, id) = wanted.cursor.map_or((None, None), |Cursor((at, id))| (Some(at), Some(id)));
    let after = after.map(|micros| {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000)
            .ok()
            // Older than any saga, and perhaps than any time that Postgres can hold.
            .filter(|at| at.year() >= 1970)
            .ok_or_else(|| Problem::field("cursor", "is not one that this list gave"))
    });
    let items: Vec<Item> = sqlx::query_as(
        "SELECT id AS saga_id, definition, version, state, parked, cause, created_at, updated_at,
                ended_at
           FROM saga
          WHERE ($1::text IS NULL OR state = $1)
            AND ($2::text IS NULL OR definition = $2)
            AND ($3::boolean IS NULL OR (parked IS NOT NULL) = $3)
            AND ($4::timestamptz IS NULL OR (created_at, id) < ($4, $5))
          ORDER BY created_at DESC, id DESC
          LIMIT $6",
    )
    .bind(wanted.state.map(StateWord::as_str))
    .bind(wanted.definition)
    .bind(wanted.parked)
    .bind(after.transpose()?)
    .bind(id)
    .bind(wanted.limit.rows())
    .fetch_all(&desk.engine.pool)
    .await
    .map_err(problem)?;
    let micros =
        |at: OffsetDateTime| i64::try_from(at.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX);
    Ok(Page::cut(items, wanted.limit, |item| (micros(item.created_at), item.saga_id)))
}

#[derive(Debug, Serialize)]
pub struct Definition {
    name: &'static str,
    version: u16,
    deadline_seconds: Option<f64>,
    steps: Vec<Step>,
    /// The plan as a Mermaid flow chart.
    diagram: String,
}

#[derive(Debug, Serialize)]
struct Step {
    name: &'static str,
    kind: &'static str,
    /// Steps with the same number run in parallel.
    stage: usize,
    command: &'static str,
    compensation: Option<&'static str>,
    timeout_seconds: f64,
    attempts: u8,
}

pub async fn definitions(State(desk): State<Desk>) -> Json<Page<Definition>> {
    let items = desk
        .engine
        .catalogue
        .iter()
        .map(|definition| {
            let plan = definition.plan();
            let steps = plan.steps().map(|(index, step)| Step {
                name: step.name,
                kind: step.kind.as_str(),
                stage: plan.stage_of(index),
                command: step.action.command,
                compensation: step.compensation.map(|leg| leg.command),
                timeout_seconds: step.action.timeout.as_secs_f64(),
                attempts: step.action.attempts,
            });
            Definition {
                name: plan.name(),
                version: plan.version(),
                deadline_seconds: plan.deadline().map(|deadline| deadline.as_secs_f64()),
                steps: steps.collect(),
                diagram: saga_core::mermaid(plan),
            }
        })
        .collect();
    Json(Page { items, next: None })
}
