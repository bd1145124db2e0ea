//! One saga, whole: steps with attempts and payloads, what it waits for, and its history with what
//! each event led to.

use super::{Desk, problem};
use crate::{
    record::{Reason, Record},
    replay::{self, Attempts, Told},
    stored::{self, Step},
};
use axum::{Json, extract::State};
use contracts::Leg;
use runtime::http::{PathId, Problem};
use saga_core::{Flight, StepIndex, StepSpec};
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

#[derive(Debug, Serialize)]
pub struct View {
    saga_id: Uuid,
    definition: String,
    version: i32,
    state: String,
    parked: Option<Parked>,
    cause: Option<Reason>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    ended_at: Option<OffsetDateTime>,
    /// When it is looked at again if nothing else happens.
    #[serde(with = "time::serde::rfc3339::option")]
    wakes_at: Option<OffsetDateTime>,
    waits: Vec<Waits>,
    steps: Vec<StepView>,
    history: Vec<Told>,
    /// What its commands are made of.
    data: Value,
}

/// The step that cannot go on alone.
#[derive(Debug, Serialize)]
struct Parked {
    step: String,
    leg: Leg,
    attempts: u16,
    reason: &'static str,
}

/// One leg that is waited for.
#[derive(Debug, Serialize)]
struct Waits {
    step: &'static str,
    leg: Leg,
    attempt: u16,
    /// `answer`, `rest` (after a fault) or `operator` (or a late answer).
    #[serde(rename = "for")]
    what: &'static str,
    #[serde(with = "time::serde::rfc3339::option")]
    until: Option<OffsetDateTime>,
}

#[derive(Debug, Serialize)]
struct StepView {
    name: &'static str,
    kind: &'static str,
    participant: &'static str,
    status: &'static str,
    /// How often the action was sent.
    attempts: u16,
    command: &'static str,
    payload: Option<Value>,
    reply: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compensation: Option<Compensation>,
}

#[derive(Debug, Serialize)]
struct Compensation {
    command: &'static str,
    attempts: u16,
    payload: Option<Value>,
}

pub async fn saga(
    State(desk): State<Desk>,
    PathId(id): PathId<Uuid>,
) -> Result<Json<View>, Problem> {
    let pool = &desk.engine.pool;
    let row = replay::row(pool, id).await.map_err(problem)?;
    let Some(row) = row else { return Err(Problem::not_found(format!("no saga {id}"))) };
    let lines = replay::history(pool, id).await.map_err(problem)?;
    let mut view = View {
        saga_id: row.id,
        definition: row.definition.clone(),
        version: row.version,
        state: row.state.clone(),
        parked: None,
        cause: row.cause.as_ref().map(|cause| cause.0.clone()),
        created_at: row.created_at,
        updated_at: row.updated_at,
        ended_at: row.ended_at,
        wakes_at: row.wake_at,
        waits: Vec::new(),
        steps: Vec::new(),
        history: Vec::new(),
        data: serde_json::from_str(&row.data).unwrap_or_default(),
    };
    match row.record(&desk.engine.catalogue) {
        Ok(record) => {
            let (told, attempts) = replay::tell(record.definition.plan(), lines);
            view.parked = parked(&record);
            view.waits = waits(&record);
            let steps = record.definition.plan().steps();
            view.steps =
                steps.map(|(index, spec)| step(&record, index, spec, &attempts, &told)).collect();
            view.history = told;
        }
        // A definition of another build: what is stored is shown, nothing is derived.
        Err(error @ stored::Error::UnknownDefinition { .. }) => {
            tracing::debug!(%error, "shown as stored");
            view.history = lines.into_iter().map(Told::plain).collect();
        }
        Err(error) => {
            tracing::error!(%error, "cannot read a saga");
            return Err(Problem::internal());
        }
    }
    Ok(Json(view))
}

fn parked(record: &Record) -> Option<Parked> {
    let wait = record.state.parked()?;
    Some(Parked {
        step: record.definition.plan().step(wait.step).name.to_owned(),
        leg: wait.leg,
        attempts: wait.attempt,
        reason: match wait.leg {
            Leg::Action => "its attempts are spent, and it cannot be given up",
            Leg::Compensation => "its compensation keeps failing",
        },
    })
}

fn waits(record: &Record) -> Vec<Waits> {
    let wait = |wait: saga_core::Wait| Waits {
        step: record.definition.plan().step(wait.step).name,
        leg: wait.leg,
        attempt: wait.attempt,
        what: match wait.flight {
            Flight::Sent => "answer",
            Flight::Resting => "rest",
            Flight::Parked => "operator",
        },
        until: record.wakes[wait.step.get()],
    };
    record.state.waits().map(wait).collect()
}

fn step(
    record: &Record,
    index: StepIndex,
    spec: &StepSpec,
    attempts: &Attempts,
    told: &[Told],
) -> StepView {
    let status = match record.steps().get(spec.name) {
        None => "pending",
        Some(Step::Acting(_)) => "acting",
        Some(Step::Done) => "done",
        Some(Step::Refused) => "refused",
        Some(Step::Undoing(_)) => "compensating",
        Some(Step::Undone) => "compensated",
    };
    let payload = |leg, sent: u16| {
        let body = (sent > 0).then(|| record.payload(index, leg).ok()).flatten()?;
        serde_json::from_slice(&body).ok()
    };
    let acted = attempts.of(index, Leg::Action);
    let undone = attempts.of(index, Leg::Compensation);
    let reply = told.iter().rev().find(|told| told.answers(spec.name));
    StepView {
        name: spec.name,
        kind: spec.kind.as_str(),
        participant: spec.action.participant(),
        status,
        attempts: acted,
        command: spec.action.command,
        payload: payload(Leg::Action, acted),
        reply: reply.and_then(|told| told.body.clone()),
        compensation: spec.compensation.map(|leg| Compensation {
            command: leg.command,
            attempts: undone,
            payload: payload(Leg::Compensation, undone),
        }),
    }
}
