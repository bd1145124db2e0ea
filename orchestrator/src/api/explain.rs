//! Why a saga is where it is, what comes next and when, and what can be done about it.

use super::{
    Desk,
    filter::StateWord,
    participants::{self, Participant},
    problem,
    schema::{LegWord, ProblemBody},
    view::rfc3339,
};
use crate::{
    operator,
    record::Record,
    replay::{self, Then, Told},
};
use axum::{Json, extract::State};
use contracts::Leg;
use runtime::http::{PathId, Problem};
use saga_core::{Event, Flight, Phase, StepState, Transition, Verb, Wait, transition, verbs};
use serde::Serialize;
use sqlx::{FromRow, PgPool};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

/// Dead letters that are told of, the latest ones.
const LETTERS: i64 = 10;

#[derive(Debug, Serialize, ToSchema)]
pub struct Explanation {
    saga_id: Uuid,
    #[schema(value_type = StateWord)]
    state: String,
    /// One sentence.
    summary: String,
    why: Vec<String>,
    waits: Vec<Awaited>,
    next: Vec<Next>,
    verbs: Vec<Choice>,
    /// Those that it waits for.
    participants: Vec<Participant>,
    dead_letters: Vec<SagaDeadLetter>,
}

/// A leg that is waited for.
#[derive(Debug, Serialize, ToSchema)]
struct Awaited {
    step: &'static str,
    #[schema(value_type = LegWord)]
    leg: Leg,
    participant: &'static str,
    /// `answer`, `rest` or `operator`.
    r#for: &'static str,
    /// When it was asked last.
    #[serde(with = "time::serde::rfc3339::option")]
    since: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    until: Option<OffsetDateTime>,
    text: String,
}

/// What happens if nothing else does; `at` is null where nothing will.
#[derive(Debug, Serialize, ToSchema)]
struct Next {
    #[serde(with = "time::serde::rfc3339::option")]
    at: Option<OffsetDateTime>,
    text: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct Choice {
    verb: &'static str,
    legal: bool,
    /// What it would do, or why it is refused.
    text: String,
}

/// A dead letter of the saga.
#[derive(Debug, FromRow, Serialize, ToSchema)]
struct SagaDeadLetter {
    id: Uuid,
    reason: String,
    text: String,
}

/// Why it is here, what it waits for, what happens next, and what can be pressed.
#[utoipa::path(get, path = "/api/v1/sagas/{id}/explain", operation_id = "explain-saga",
    params(("id" = Uuid, Path, description = "The saga.")),
    responses(
        (status = 200, body = Explanation, description = "The explanation."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "There is no such saga."),
        (status = 409, body = ProblemBody, content_type = "application/problem+json", description = "This build does not know its definition."),
    ))]
pub async fn explain(
    State(desk): State<Desk>,
    PathId(id): PathId<Uuid>,
) -> Result<Json<Explanation>, Problem> {
    let pool = &desk.engine.pool;
    let row = replay::row(pool, id).await.map_err(problem)?;
    let Some(row) = row else { return Err(Problem::not_found(format!("no saga {id}"))) };
    let lines = replay::history(pool, id).await.map_err(problem)?;
    let record =
        row.record(&desk.engine.catalogue).map_err(|error| Problem::conflict(error.to_string()))?;
    let (told, _) = replay::tell(record.definition.plan(), lines);
    let waits: Vec<Awaited> =
        record.state.waits().map(|wait| awaited(&record, wait, &told)).collect();
    let names: Vec<_> = waits.iter().map(|wait| wait.participant).collect();
    Ok(Json(Explanation {
        saga_id: id,
        state: record.state_word().to_owned(),
        summary: summary(&record, &waits),
        why: why(&record, &told),
        next: next(&record),
        verbs: choices(&record),
        participants: participants::some(&desk, &names).await?,
        dead_letters: letters(pool, id).await.map_err(problem)?,
        waits,
    }))
}

fn awaited(record: &Record, wait: Wait, told: &[Told]) -> Awaited {
    let plan = record.definition.plan();
    let step = plan.step(wait.step).name;
    let spec = plan.leg(wait.step, wait.leg);
    let command = spec.map_or("", |leg| leg.command);
    let participant = spec.map_or("", |leg| leg.participant());
    let left = match record.state.step(wait.step) {
        StepState::Acting(it) | StepState::Undoing(it) => it.left,
        _ => 0,
    };
    let asked = |then: &Then| matches!(then, Then::Sent { step: sent, leg, .. } if *sent == step && *leg == wait.leg);
    let since = told.iter().rev().find(|line| line.then.iter().any(asked)).map(|line| line.at);
    let attempt = wait.attempt;
    let (r#for, text) = match wait.flight {
        Flight::Sent => (
            "answer",
            format!("{participant} has not answered {command} (attempt {attempt}, {left} left)"),
        ),
        Flight::Resting => (
            "rest",
            format!("{command} failed at {participant} and rests before attempt {attempt}"),
        ),
        Flight::Parked => (
            "operator",
            format!(
                "{command} at {participant} is parked after attempt {attempt}: its budget is spent"
            ),
        ),
    };
    let until = record.wakes[wait.step.get()];
    Awaited { step, leg: wait.leg, participant, r#for, since, until, text }
}

fn summary(record: &Record, waits: &[Awaited]) -> String {
    let ended = record.ended_at.map(rfc3339).unwrap_or_default();
    let cause = record.reason.as_ref().map_or("", |reason| reason.text.as_str());
    match record.state.phase {
        Phase::Completed => format!("It completed at {ended}."),
        Phase::Compensated(_) => format!("All of it was undone by {ended}: {cause}."),
        phase => {
            let way = match phase {
                Phase::Running => "It goes forward".to_owned(),
                _ => format!("It goes back ({cause})"),
            };
            let parked = waits.iter().find(|wait| wait.r#for == "operator");
            match parked.or(waits.first()) {
                Some(wait) if parked.is_some() => {
                    format!("{way}, and cannot go on alone: {}.", wait.text)
                }
                Some(wait) => format!("{way}: {}.", wait.text),
                None => format!("{way}."),
            }
        }
    }
}

fn why(record: &Record, told: &[Told]) -> Vec<String> {
    let mut why = Vec::new();
    if let Some(reason) = &record.reason {
        why.push(format!("It was turned round: {}.", reason.text));
    }
    for wait in record.state.waits() {
        let step = record.definition.plan().step(wait.step).name;
        let of_it = |line: &&Told| line.step.as_deref() == Some(step) && line.leg == Some(wait.leg);
        let Some(last) = told.iter().rev().find(of_it) else { continue };
        let at = rfc3339(last.at);
        let attempt = last.attempt.unwrap_or_default();
        why.push(match last.event.as_str() {
            "timed-out" => format!("{step} got no answer to attempt {attempt} by {at}."),
            "replied" => {
                let error = last.body.as_ref().and_then(|body| body["error"].as_str());
                format!(
                    "{step} failed in attempt {attempt} at {at}: {}.",
                    error.unwrap_or("no error given")
                )
            }
            event => format!("{step}: {} at {at}.", event.replace('-', " ")),
        });
        if wait.flight == Flight::Parked {
            why.push(match wait.leg {
                Leg::Action => {
                    format!("{step} cannot be given up: from there the saga only goes forward.")
                }
                Leg::Compensation => {
                    format!("{step} must be undone, and a compensation is never skipped by itself.")
                }
            });
        }
    }
    why
}

fn next(record: &Record) -> Vec<Next> {
    let (plan, state) = (record.definition.plan(), &record.state);
    let mut next = Vec::new();
    for wait in state.waits() {
        let Wait { step, leg, attempt, flight } = wait;
        let name = plan.step(step).name;
        if flight == Flight::Parked {
            let text = format!("{name} waits for an operator, or for a late answer");
            next.push(Next { at: None, text });
            continue;
        }
        if let Transition::Moved(moved) =
            transition(plan, state, Event::Woke { step, leg, attempt })
        {
            let then = replay::then(plan, Some(state), &moved, &mut replay::Attempts::default());
            let text = format!("if nothing is heard of {name}: {}", words(&then));
            next.push(Next { at: record.wakes[step.get()], text });
        }
    }
    let undecided = state.phase == Phase::Running && state.step(plan.pivot()) == StepState::Pending;
    if let Some(at) = record.deadline.filter(|_| undecided) {
        let text = "it goes back, unless its pivot has been asked for".to_owned();
        next.push(Next { at: Some(at), text });
    }
    next.sort_by_key(|one| (one.at.is_none(), one.at));
    next
}

fn choices(record: &Record) -> Vec<Choice> {
    let (plan, state) = (record.definition.plan(), &record.state);
    let legal = verbs(plan, state);
    let waited =
        state.waits().next().map_or((plan.pivot(), Leg::Compensation), |it| (it.step, it.leg));
    let (step, leg) = waited;
    let all = [
        Verb::Resume,
        Verb::Retry { step, leg },
        Verb::Cancel,
        Verb::Skip { step, leg },
        Verb::ForceCompensate,
    ];
    let choice = |verb: Verb| {
        let mut texts = Vec::new();
        for one in legal.iter().filter(|one| one.as_str() == verb.as_str()) {
            if let Transition::Moved(moved) = transition(plan, state, one.event()) {
                let then =
                    replay::then(plan, Some(state), &moved, &mut replay::Attempts::default());
                let of = match one {
                    Verb::Retry { step, .. } | Verb::Skip { step, .. } => {
                        format!("{}: ", plan.step(*step).name)
                    }
                    _ => String::new(),
                };
                texts.push(format!("{of}{}", words(&then)));
            }
        }
        let text = match (texts.is_empty(), record.allows(verb)) {
            (true, Err(ignored)) => operator::why(ignored).to_owned(),
            _ => texts.join("; "),
        };
        Choice { verb: verb.as_str(), legal: !texts.is_empty(), text }
    };
    all.into_iter().map(choice).collect()
}

/// What follows, in words.
fn words(then: &[Then]) -> String {
    let word = |then: &Then| match then {
        Then::Sent { sent, attempt, .. } => format!("sends {sent} (attempt {attempt})"),
        Then::Rests { rests, attempt, .. } => format!("{rests} rests before attempt {attempt}"),
        Then::Parked { parked, .. } => format!("{parked} is parked"),
        Then::Ended { ended } => format!("the saga is {ended}"),
    };
    match then {
        [] => "goes on with what is under way".to_owned(),
        _ => then.iter().map(word).collect::<Vec<_>>().join(", "),
    }
}

async fn letters(pool: &PgPool, saga: Uuid) -> sqlx::Result<Vec<SagaDeadLetter>> {
    sqlx::query_as(
        "SELECT id, reason, concat(participant, ' gave up ', type, ', ', state, ': ', left(error, 300))
                    AS text
           FROM dead_letter WHERE saga_id = $1 ORDER BY dead_at DESC LIMIT $2",
    )
    .bind(saga)
    .bind(LETTERS)
    .fetch_all(pool)
    .await
}
