//! What can be asked of one saga. Each verb is an occurrence like any other: it goes through the
//! core, and what it sends is sent after the commit.

use super::{
    Desk, problem,
    schema::{LegWord, ProblemBody},
};
use crate::{
    engine::{Advanced, Occurrence, Rehearsed, Verdict},
    operator::{self, Ask, Unacceptable, Wanted, Which},
    record::Record,
    replay,
};
use axum::{
    Json,
    extract::State,
    http::{StatusCode, header::LOCATION},
    response::{IntoResponse, Response},
};
use contracts::{Leg, SagaId, StartEnvelope};
use messaging::Outgoing;
use runtime::{
    http::{Body, PathId, Problem},
    trace,
};
use saga_core::{Ignored, verbs};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

const LONGEST_REASON: usize = 500;
const LONGEST_NAME: usize = 100;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Start {
    definition: String,
    /// What the definition is started with.
    input: Value,
    /// Chosen by the client, so that asking twice starts one saga.
    saga_id: Option<Uuid>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Started {
    saga_id: Uuid,
    state: &'static str,
}

/// Starts a saga.
#[utoipa::path(post, path = "/api/v1/sagas", operation_id = "start-saga", request_body = Start, responses(
    (status = 202, body = Started, description = "It is stored, and begins."),
))]
pub async fn start(
    State(desk): State<Desk>,
    Body(start): Body<Start>,
) -> Result<Response, Problem> {
    let saga = SagaId(start.saga_id.unwrap_or_else(Uuid::now_v7));
    let occurrence = Occurrence::Start(StartEnvelope {
        saga,
        definition: start.definition,
        traceparent: trace::current().map(|context| context.to_string()),
        body: start.input.to_string().into_bytes(),
    });
    let mut verdicts = desk.advance(&[occurrence]).await?;
    match verdicts.pop() {
        Some(Verdict::UnknownDefinition(why)) => Err(Problem::field("definition", why)),
        Some(Verdict::Misfit(why) | Verdict::Unstorable(why)) => Err(Problem::field("input", why)),
        _ => {
            let location = format!("/api/v1/sagas/{saga}");
            let body = Json(Started { saga_id: saga.0, state: "running" });
            Ok((StatusCode::ACCEPTED, [(LOCATION, location)], body).into_response())
        }
    }
}

/// Who asks, and why.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Why {
    /// For the history and the audit trail.
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
    #[schema(min_length = 1, max_length = 100)]
    by: Option<String>,
    /// Only tell what would happen.
    #[serde(default)]
    dry_run: bool,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// For the history and the audit trail.
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
    #[schema(min_length = 1, max_length = 100)]
    by: Option<String>,
    /// Only tell what would happen.
    #[serde(default)]
    dry_run: bool,
    /// When left out, the one that is waited for.
    step: Option<String>,
    /// When left out, the one that is waited for.
    leg: Option<LegWord>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Skip {
    /// For the history and the audit trail.
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
    #[schema(min_length = 1, max_length = 100)]
    by: Option<String>,
    /// Only tell what would happen.
    #[serde(default)]
    dry_run: bool,
    /// When left out, the one that is parked.
    step: Option<String>,
    /// When left out, the one that is parked.
    leg: Option<LegWord>,
    /// The reply to assume, as the participant would have sent it.
    #[serde(default)]
    value: Value,
}

/// A verb that is stored, and will have its effect.
#[derive(Debug, Serialize, ToSchema)]
pub struct Accepted {
    saga_id: Uuid,
    accepted: bool,
    audit_id: Uuid,
}

/// What a verb would do now.
#[derive(Debug, Serialize, ToSchema)]
pub struct Rehearsal {
    saga_id: Uuid,
    dry_run: bool,
    would: Vec<Send>,
    state_after: &'static str,
    /// The step at which it would be parked.
    parked_after: Option<&'static str>,
}

/// A command that would be sent.
#[derive(Debug, Serialize, ToSchema)]
struct Send {
    send: String,
    step: String,
    #[schema(value_type = LegWord)]
    leg: Leg,
    attempt: u16,
}

macro_rules! verb {
    ($(#[$about:meta])* $name:ident, $path:literal, $id:literal, $body:ty, $split:expr) => {
        $(#[$about])*
        #[utoipa::path(post, path = $path, operation_id = $id, request_body = $body,
            params(("id" = Uuid, Path, description = "The saga.")),
            responses(
                (status = 200, body = Rehearsal, description = "A dry run: what it would do."),
                (status = 202, body = Accepted, description = "It is stored, and has its effect."),
                (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "There is no such saga."),
                (status = 409, body = ProblemBody, content_type = "application/problem+json", description = "Not as the saga stands: why, and which verbs are legal."),
            ))]
        pub async fn $name(
            State(desk): State<Desk>,
            PathId(saga): PathId<Uuid>,
            Body(body): Body<$body>,
        ) -> Result<Response, Problem> {
            let split: fn($body) -> (Why, Wanted) = $split;
            let (why, wanted) = split(body);
            desk.operate(SagaId(saga), why, wanted).await
        }
    };
}

verb!(
    /// Undoes a saga that has not asked for its pivot.
    cancel, "/api/v1/sagas/{id}/cancel", "cancel-saga", Why, |why| (why, Wanted::Cancel)
);
verb!(
    /// Asks everything that is parked again, with fresh budgets.
    resume, "/api/v1/sagas/{id}/resume", "resume-saga", Why, |why| (why, Wanted::Resume)
);
verb!(
    /// Asks one leg again now, with a fresh budget, parked or not.
    retry, "/api/v1/sagas/{id}/retry", "retry-step", Retry, |body| {
        let Retry { reason, by, dry_run, step, leg } = body;
        (Why { reason, by, dry_run }, Wanted::Retry(Which { step, leg: leg.map(Leg::from) }))
    }
);
verb!(
    /// Takes a parked leg as done, on the operator's word: an action with the value as its reply, a
    /// compensation as undone by hand.
    skip, "/api/v1/sagas/{id}/skip", "skip-step", Skip, |body| {
        let Skip { reason, by, dry_run, step, leg, value } = body;
        (Why { reason, by, dry_run }, Wanted::Skip(Which { step, leg: leg.map(Leg::from) }, value))
    }
);
verb!(
    /// Undoes a saga whose pivot is parked: the operator vouches that it has not happened, or undoes
    /// it by hand.
    force_compensate, "/api/v1/sagas/{id}/force-compensate", "force-compensate-saga", Why,
    |why| (why, Wanted::ForceCompensate)
);

impl Why {
    pub fn new(reason: String, by: Option<String>, dry_run: bool) -> Self {
        Why { reason, by, dry_run }
    }

    /// The reason, who asks, and whether it is a dry run.
    pub fn checked(self) -> Result<(String, Option<String>, bool), Problem> {
        let reason = line("reason", &self.reason, LONGEST_REASON)?;
        let by = self.by.map(|by| line("by", &by, LONGEST_NAME)).transpose()?;
        Ok((reason, by, self.dry_run))
    }
}

fn line(field: &str, text: &str, most: usize) -> Result<String, Problem> {
    match text.trim() {
        "" => Err(Problem::field(field, "is not empty")),
        text if text.chars().count() > most => {
            Err(Problem::field(field, format!("has at most {most} characters")))
        }
        text if text.contains('\0') => Err(Problem::field(field, "has no NUL characters")),
        text => Ok(text.to_owned()),
    }
}

impl Desk {
    async fn operate(&self, saga: SagaId, why: Why, wanted: Wanted) -> Result<Response, Problem> {
        let (reason, by, dry_run) = why.checked()?;
        trace::note("saga.id", saga);
        let ask = Ask { by, ..Ask::new(saga, wanted, reason) };
        let audit_id = ask.audit;
        let occurrence = Occurrence::Ask(ask);
        if dry_run {
            let rehearsed = self.engine.rehearse(&[occurrence]).await.map_err(problem)?;
            return rehearsal(saga, rehearsed);
        }
        let verdict = self.advance(&[occurrence]).await?.pop().ok_or_else(Problem::internal)?;
        if let Verdict::Moved = verdict {
            let accepted = Accepted { saga_id: saga.0, accepted: true, audit_id };
            return Ok((StatusCode::ACCEPTED, Json(accepted)).into_response());
        }
        let row = replay::row(&self.engine.pool, saga.0).await.map_err(problem)?;
        let record = row.and_then(|row| row.record(&self.engine.catalogue).ok());
        Err(refusal(saga, verdict, record.as_ref()))
    }

    /// Stores what is asked, and sends what follows in the background: it is safe in the journal,
    /// and the saga's wake-up would send it, too.
    pub(super) async fn advance(&self, batch: &[Occurrence]) -> Result<Vec<Verdict>, Problem> {
        let Advanced { verdicts, commands, .. } =
            self.engine.advance(batch).await.map_err(problem)?;
        let (sender, cause) = (self.sender.clone(), trace::current());
        tokio::spawn(async move {
            let send = |command| Outgoing::command_because_of(command, cause);
            let commands = commands.iter().map(send).collect();
            // Stopping: the wake-up sends it.
            let _ = sender.send(commands).await;
        });
        Ok(verdicts)
    }
}

fn rehearsal(saga: SagaId, rehearsed: Rehearsed) -> Result<Response, Problem> {
    let Rehearsed { mut verdicts, commands, mut records } = rehearsed;
    let verdict = verdicts.pop().ok_or_else(Problem::internal)?;
    match (verdict, records.remove(&saga)) {
        (Verdict::Moved, Some(record)) => {
            let would = commands.into_iter().map(|command| Send {
                send: command.kind,
                step: command.step,
                leg: command.leg,
                attempt: command.attempt,
            });
            let rehearsal = Rehearsal {
                saga_id: saga.0,
                dry_run: true,
                would: would.collect(),
                state_after: record.state_word(),
                parked_after: record.parked(),
            };
            Ok(Json(rehearsal).into_response())
        }
        (verdict, record) => Err(refusal(saga, verdict, record.as_ref())),
    }
}

fn refusal(saga: SagaId, verdict: Verdict, record: Option<&Record>) -> Problem {
    let why = match verdict {
        Verdict::UnknownSaga => return Problem::not_found(format!("no saga {saga}")),
        Verdict::Unacceptable(Unacceptable { field, why }) => return Problem::field(field, why),
        Verdict::Unstorable(why) => return Problem::field("value", why),
        Verdict::UnknownDefinition(why) => why,
        Verdict::Ignored(ignored) => operator::why(ignored).to_owned(),
        _ => operator::why(Ignored::Stale).to_owned(),
    };
    let legal = record.map(legal).unwrap_or_default();
    Problem::conflict(why).with("legal", legal)
}

/// The words of the verbs that would move the saga now.
pub(super) fn legal(record: &Record) -> Vec<&'static str> {
    let mut words = Vec::new();
    for verb in verbs(record.definition.plan(), &record.state) {
        if !words.contains(&verb.as_str()) {
            words.push(verb.as_str());
        }
    }
    words
}
