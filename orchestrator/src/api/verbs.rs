//! What can be asked of sagas by hand. Each is an occurrence like any other: it goes through the
//! core, and what it sends is sent after the commit.

use super::{Desk, problem};
use crate::{
    engine::{Advanced, Occurrence, Verdict},
    operator::{self, Ask, Wanted},
};
use axum::{
    Json,
    extract::State,
    http::{StatusCode, header::LOCATION},
    response::{IntoResponse, Response},
};
use contracts::{SagaId, StartEnvelope};
use messaging::Outgoing;
use runtime::http::{Body, PathId, Problem};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    definition: String,
    /// What the definition is started with.
    input: Value,
    /// Chosen by the client, so that asking twice starts one saga.
    saga_id: Option<Uuid>,
}

pub async fn start(
    State(desk): State<Desk>,
    Body(start): Body<Start>,
) -> Result<Response, Problem> {
    let saga = SagaId(start.saga_id.unwrap_or_else(Uuid::now_v7));
    let occurrence = Occurrence::Start(StartEnvelope {
        saga,
        definition: start.definition,
        traceparent: None,
        body: start.input.to_string().into_bytes(),
    });
    match advance(&desk, occurrence).await? {
        Verdict::UnknownDefinition(why) => Err(Problem::field("definition", why)),
        Verdict::Misfit(why) => Err(Problem::field("input", why)),
        Verdict::Unstorable(why) => Err(Problem::field("input", why)),
        _ => {
            let location = format!("/api/v1/sagas/{saga}");
            let body = Json(json!({ "saga_id": saga, "state": "running" }));
            Ok((StatusCode::ACCEPTED, [(LOCATION, location)], body).into_response())
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Why {
    /// For the history: who asks, and why.
    reason: String,
}

impl Why {
    fn checked(self) -> Result<String, Problem> {
        match self.reason.trim() {
            "" => Err(Problem::field("reason", "says why; it is not empty")),
            reason if reason.chars().count() > 500 => {
                Err(Problem::field("reason", "has at most 500 characters"))
            }
            reason if reason.chars().any(|letter| letter == '\0') => {
                Err(Problem::field("reason", "has no NUL characters"))
            }
            reason => Ok(reason.to_owned()),
        }
    }
}

pub async fn cancel(
    State(desk): State<Desk>,
    PathId(saga): PathId<Uuid>,
    Body(why): Body<Why>,
) -> Result<Response, Problem> {
    let saga = SagaId(saga);
    let verdict =
        advance(&desk, Occurrence::Ask(Ask::new(saga, Wanted::Cancel, why.checked()?))).await?;
    answer(saga, &verdict)
}

pub async fn resume(
    State(desk): State<Desk>,
    PathId(saga): PathId<Uuid>,
    Body(why): Body<Why>,
) -> Result<Response, Problem> {
    let saga = SagaId(saga);
    let verdict =
        advance(&desk, Occurrence::Ask(Ask::new(saga, Wanted::Resume, why.checked()?))).await?;
    answer(saga, &verdict)
}

fn answer(saga: SagaId, verdict: &Verdict) -> Result<Response, Problem> {
    let why = match verdict {
        Verdict::UnknownSaga => return Err(Problem::not_found(format!("no saga {saga}"))),
        Verdict::UnknownDefinition(why) => why.as_str(),
        Verdict::Ignored(ignored) => operator::why(*ignored),
        _ => {
            let body = Json(json!({ "saga_id": saga, "accepted": true }));
            return Ok((StatusCode::ACCEPTED, body).into_response());
        }
    };
    Err(Problem::conflict(why))
}

/// Stores what is asked, and sends what follows in the background: it is safe in the journal, and
/// the saga's wake-up would send it, too.
async fn advance(desk: &Desk, occurrence: Occurrence) -> Result<Verdict, Problem> {
    let Advanced { mut verdicts, commands } =
        desk.engine.advance(&[occurrence]).await.map_err(problem)?;
    let sender = desk.sender.clone();
    tokio::spawn(async move {
        let commands = commands.iter().map(Outgoing::command).collect();
        // Stopping: the wake-up sends it.
        let _ = sender.send(commands).await;
    });
    verdicts.pop().ok_or_else(Problem::internal)
}
