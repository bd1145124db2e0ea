//! One saga, whole: steps with attempts and payloads, what it waits for, and its history with what
//! each event led to.

use super::{
    Desk,
    filter::StateWord,
    problem,
    schema::{LegWord, ProblemBody},
    verbs::legal,
};
use crate::{
    record::{Reason, Record},
    replay::{self, Attempts, Told},
    stored::{self, Step},
};
use axum::{Json, extract::State};
use contracts::Leg;
use runtime::http::{PathId, Problem};
use saga_core::{Flight, Phase, StepIndex, StepSpec, StepState};
use serde::Serialize;
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use utoipa::ToSchema;
use uuid::Uuid;

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Saga)]
pub struct View {
    saga_id: Uuid,
    definition: String,
    version: i32,
    #[schema(value_type = StateWord)]
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
    /// The number of events in its history.
    revision: i64,
    /// Steps still to come: to be asked for, or to be undone.
    remaining: Vec<&'static str>,
    /// The verbs that are legal now.
    verbs: Vec<&'static str>,
    steps: Vec<StepView>,
    history: Vec<Told>,
    /// What its commands are made of.
    data: Value,
}

/// The step that cannot go on alone.
#[derive(Debug, Serialize, ToSchema)]
struct Parked {
    step: String,
    #[schema(value_type = LegWord)]
    leg: Leg,
    attempts: u16,
    reason: &'static str,
}

/// One leg that is waited for.
#[derive(Debug, Serialize, ToSchema)]
struct Waits {
    step: &'static str,
    #[schema(value_type = LegWord)]
    leg: Leg,
    attempt: u16,
    /// `answer`, `rest` (after a fault) or `operator` (or a late answer).
    #[serde(rename = "for")]
    what: &'static str,
    #[serde(with = "time::serde::rfc3339::option")]
    until: Option<OffsetDateTime>,
}

#[derive(Debug, Serialize, ToSchema)]
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
    #[schema(nullable = false)]
    compensation: Option<Compensation>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Compensation {
    command: &'static str,
    attempts: u16,
    payload: Option<Value>,
}

/// One saga, whole.
#[utoipa::path(get, path = "/api/v1/sagas/{id}", operation_id = "get-saga",
    params(("id" = Uuid, Path, description = "The saga.")),
    responses(
        (status = 200, body = View, description = "The saga."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "There is no such saga."),
    ))]
pub async fn saga(
    State(desk): State<Desk>,
    PathId(id): PathId<Uuid>,
) -> Result<Json<View>, Problem> {
    match view(&desk, id).await? {
        Some(view) => Ok(Json(view)),
        None => Err(Problem::not_found(format!("no saga {id}"))),
    }
}

/// The saga, if there is one.
pub(super) async fn view(desk: &Desk, id: Uuid) -> Result<Option<View>, Problem> {
    let pool = &desk.engine.pool;
    let row = replay::row(pool, id).await.map_err(problem)?;
    let Some(row) = row else { return Ok(None) };
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
        revision: row.revision,
        remaining: Vec::new(),
        verbs: Vec::new(),
        steps: Vec::new(),
        history: Vec::new(),
        data: serde_json::from_str(&row.data).unwrap_or_default(),
    };
    match row.record(&desk.engine.catalogue) {
        Ok(record) => {
            let (told, attempts) = replay::tell(record.definition.plan(), lines);
            view.parked = parked(&record);
            view.waits = waits(&record);
            view.remaining = remaining(&record);
            view.verbs = legal(&record);
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
    Ok(Some(view))
}

impl View {
    pub(super) fn has_ended(&self) -> bool {
        self.ended_at.is_some()
    }
}

pub(super) fn rfc3339(at: OffsetDateTime) -> String {
    // A time of the database: it has a year of four digits.
    at.format(&Rfc3339).unwrap_or_default()
}

/// Steps that the saga has not come to, on whichever way it is.
fn remaining(record: &Record) -> Vec<&'static str> {
    let plan = record.definition.plan();
    let state = &record.state;
    let to_come = |(step, spec): &(StepIndex, &StepSpec)| match state.phase {
        Phase::Running => state.step(*step) == StepState::Pending,
        Phase::Compensating(_) => {
            state.step(*step) == StepState::Done && spec.compensation.is_some()
        }
        Phase::Completed | Phase::Compensated(_) => false,
    };
    let mut steps: Vec<_> = plan.steps().filter(to_come).map(|(_, spec)| spec.name).collect();
    if state.phase != Phase::Running {
        steps.reverse();
    }
    steps
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
    let reply = told.iter().rev().find_map(|told| told.answer(spec.name));
    StepView {
        name: spec.name,
        kind: spec.kind.as_str(),
        participant: spec.action.participant(),
        status,
        attempts: acted,
        command: spec.action.command,
        payload: payload(Leg::Action, acted),
        reply: reply.flatten().cloned(),
        compensation: spec.compensation.map(|leg| Compensation {
            command: leg.command,
            attempts: undone,
            payload: payload(Leg::Compensation, undone),
        }),
    }
}
