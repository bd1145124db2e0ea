//! Dead letters: what there is, what it died of, and replaying or discarding it.

use super::problem;
use crate::dead_letters::{
    Office,
    listing::{self, Filter, Group, Item, Progress, State, Whole},
    verbs::{Begun, Done, Why},
};
use axum::{
    Json, Router, extract,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use runtime::{
    http::{Body, Params, PathId, Problem},
    page::{Cursor, Limit, Page},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::FromRow;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

pub fn router(office: Office) -> Router {
    Router::new()
        .route("/api/v1/dead-letters", get(letters))
        .route("/api/v1/dead-letters/groups", get(groups))
        .route("/api/v1/dead-letters/bulk/replay", post(replay_many))
        .route("/api/v1/dead-letters/bulk/discard", post(discard_many))
        .route("/api/v1/dead-letters/replays/{id}", get(progress))
        .route("/api/v1/dead-letters/{id}", get(letter))
        .route("/api/v1/dead-letters/{id}/replay", post(replay_one))
        .route("/api/v1/dead-letters/{id}/discard", post(discard_one))
        .with_state(office)
}

#[derive(Debug, Deserialize)]
pub struct Wanted {
    #[serde(default)]
    limit: Limit,
    cursor: Option<Cursor<(i64, Uuid)>>,
    participant: Option<String>,
    #[serde(rename = "type")]
    message_type: Option<String>,
    state: Option<State>,
    fingerprint: Option<Uuid>,
    saga_id: Option<Uuid>,
    text: Option<String>,
}

async fn letters(
    extract::State(office): extract::State<Office>,
    Params(wanted): Params<Wanted>,
) -> Result<Page<Item>, Problem> {
    let before = wanted.cursor.map(|Cursor((micros, id))| {
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).ok();
        // Older than any letter, and perhaps than any time that Postgres can hold.
        let at = at.filter(|at| at.year() >= 1970);
        at.map(|at| (at, id)).ok_or_else(|| Problem::field("cursor", "is not one of this list's"))
    });
    let filter = Filter {
        participant: wanted.participant,
        message_type: wanted.message_type,
        state: wanted.state,
        fingerprint: wanted.fingerprint,
        saga_id: wanted.saga_id,
        text: wanted.text,
    };
    let before = before.transpose()?;
    possible(&filter, "")?;
    let pool = &office.engine.pool;
    let items = listing::list(pool, &filter, before, wanted.limit.rows()).await.map_err(problem)?;
    let micros =
        |at: OffsetDateTime| i64::try_from(at.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX);
    Ok(Page::cut(items, wanted.limit, |item| (micros(item.dead_at), item.dead_letter_id)))
}

#[derive(Debug, Deserialize)]
pub struct Whose {
    participant: Option<String>,
}

async fn groups(
    extract::State(office): extract::State<Office>,
    Params(whose): Params<Whose>,
) -> Result<Page<Group>, Problem> {
    let participant = whose.participant.as_deref().filter(|name| !name.contains('\0'));
    let items = listing::groups(&office.engine.pool, participant).await.map_err(problem)?;
    Ok(Page { items, next: None })
}

/// A letter, whole.
#[derive(Debug, Serialize)]
struct View {
    #[serde(flatten)]
    item: Item,
    /// The queue it was taken from before it died.
    died_in: String,
    /// Tries that were spent on it.
    tries: i32,
    first_failure: Option<String>,
    /// JSON as it is; other text as text; null where it is neither.
    body: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
    headers: Value,
    properties: Value,
    saga: Option<Saga>,
    /// Why replaying it is refused.
    stale: Option<String>,
}

/// As much of its saga as says where it stands.
#[derive(Debug, FromRow, Serialize)]
struct Saga {
    saga_id: Uuid,
    definition: String,
    version: i32,
    state: String,
    parked: Option<String>,
    cause: Option<sqlx::types::Json<Value>>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    ended_at: Option<OffsetDateTime>,
}

async fn letter(
    extract::State(office): extract::State<Office>,
    PathId(id): PathId<Uuid>,
) -> Result<Json<View>, Problem> {
    let pool = &office.engine.pool;
    let Some((item, whole)) = listing::one(pool, id).await.map_err(problem)? else {
        return Err(unknown(id));
    };
    let Whole { died_in, tries, first_failure, body, headers, properties } = whole;
    let saga = sqlx::query_as(
        "SELECT id AS saga_id, definition, version, state, parked, cause, created_at, updated_at,
                ended_at
           FROM saga WHERE id = $1",
    )
    .bind(item.saga_id)
    .fetch_optional(pool)
    .await
    .map_err(problem)?;
    let stale = office.stale(id).await.map_err(problem)?;
    let (body, body_base64) = match serde_json::from_slice(&body) {
        Ok(json) => (json, None),
        Err(_) => match String::from_utf8(body) {
            Ok(text) => (Value::String(text), None),
            Err(binary) => (Value::Null, Some(base64(binary.as_bytes()))),
        },
    };
    Ok(Json(View {
        item,
        died_in,
        tries,
        first_failure: first_failure.and_then(|at| at.format(&Rfc3339).ok()),
        body,
        body_base64,
        headers: headers.0,
        properties: properties.0,
        saga,
        stale,
    }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// For the audit: why, and who asks.
    reason: String,
    by: Option<String>,
    /// Only says what would be done.
    #[serde(default)]
    dry_run: bool,
}

async fn replay_one(
    extract::State(office): extract::State<Office>,
    PathId(id): PathId<Uuid>,
    Body(ask): Body<Ask>,
) -> Result<Response, Problem> {
    let why = checked(ask.reason, ask.by)?;
    answer(id, "replay", office.replay_one(id, &why, ask.dry_run).await.map_err(problem)?)
}

async fn discard_one(
    extract::State(office): extract::State<Office>,
    PathId(id): PathId<Uuid>,
    Body(ask): Body<Ask>,
) -> Result<Response, Problem> {
    let why = checked(ask.reason, ask.by)?;
    answer(id, "discard", office.discard_one(id, &why, ask.dry_run).await.map_err(problem)?)
}

fn answer(id: Uuid, verb: &str, done: Done) -> Result<Response, Problem> {
    match done {
        Done::NoSuchLetter => Err(unknown(id)),
        Done::Refused(why) => Err(Problem::conflict(why)),
        Done::Would => {
            Ok(Json(json!({ "dead_letter_id": id, "dry_run": true, "would": verb }))
                .into_response())
        }
        Done::Accepted(audit) => {
            let body = json!({ "dead_letter_id": id, "accepted": true, "audit_id": audit });
            Ok((StatusCode::ACCEPTED, Json(body)).into_response())
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskMany {
    /// As the list's parameters; `state` is `open` (unless it says `refused`).
    filter: Filter,
    reason: String,
    by: Option<String>,
    #[serde(default)]
    dry_run: bool,
}

async fn replay_many(
    extract::State(office): extract::State<Office>,
    Body(ask): Body<AskMany>,
) -> Result<Response, Problem> {
    let why = checked(ask.reason, ask.by)?;
    meant(&ask.filter)?;
    let begun = office.replay_many(&ask.filter, &why, ask.dry_run).await.map_err(problem)?;
    Ok(answer_many(&begun, ask.dry_run))
}

async fn discard_many(
    extract::State(office): extract::State<Office>,
    Body(ask): Body<AskMany>,
) -> Result<Response, Problem> {
    let why = checked(ask.reason, ask.by)?;
    meant(&ask.filter)?;
    let begun = office.discard_many(&ask.filter, &why, ask.dry_run).await.map_err(problem)?;
    Ok(answer_many(&begun, ask.dry_run))
}

fn answer_many(begun: &Begun, dry_run: bool) -> Response {
    let Begun { replay, matched, stale } = begun;
    let body = json!({
        "replay_id": replay, "matched": matched, "stale": stale, "dry_run": dry_run,
    });
    let status = if dry_run { StatusCode::OK } else { StatusCode::ACCEPTED };
    (status, Json(body)).into_response()
}

async fn progress(
    extract::State(office): extract::State<Office>,
    PathId(id): PathId<Uuid>,
) -> Result<Json<Progress>, Problem> {
    let progress = listing::progress(&office.engine.pool, id).await.map_err(problem)?;
    progress.map(Json).ok_or_else(|| Problem::not_found(format!("no replay {id}")))
}

fn unknown(id: Uuid) -> Problem {
    Problem::not_found(format!("no dead letter {id}"))
}

fn checked(reason: String, by: Option<String>) -> Result<Why, Problem> {
    let wrong = |text: &str, most: usize| match text {
        text if text.chars().count() > most => Some(format!("has at most {most} characters")),
        text if text.contains('\0') => Some("has no NUL characters".to_owned()),
        _ => None,
    };
    let reason = reason.trim();
    if reason.is_empty() {
        return Err(Problem::field("reason", "says why; it is not empty"));
    }
    if let Some(why) = wrong(reason, 500) {
        return Err(Problem::field("reason", why));
    }
    let by = by.map(|by| by.trim().to_owned()).filter(|by| !by.is_empty());
    if let Some(why) = by.as_deref().and_then(|by| wrong(by, 100)) {
        return Err(Problem::field("by", why));
    }
    Ok(Why { reason: reason.to_owned(), by })
}

/// A filter for a verb says something, and nothing that makes no sense.
fn meant(filter: &Filter) -> Result<(), Problem> {
    if *filter == Filter::default() {
        return Err(Problem::field("filter", "says which are meant; it is not empty"));
    }
    if !matches!(filter.state, None | Some(State::Open | State::Refused)) {
        return Err(Problem::field("filter.state", "is open or refused"));
    }
    possible(filter, "filter.")
}

fn possible(filter: &Filter, within: &str) -> Result<(), Problem> {
    match filter.impossible() {
        Some(name) => Err(Problem::field(format!("{within}{name}"), "has no NUL characters")),
        None => Ok(()),
    }
}

/// RFC 4648, padded.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let [first, second, third] =
            [0, 1, 2].map(|at| u32::from(chunk.get(at).copied().unwrap_or_default()));
        let group = first << 16 | second << 8 | third;
        for place in 0..4 {
            let letter = LETTERS[(group >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn bytes_that_are_no_text_are_shown_as_base64() {
        // The vectors of the RFC.
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xff, 0xfe]), "//4=");
    }
}
