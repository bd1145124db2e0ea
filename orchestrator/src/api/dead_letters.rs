//! Dead letters: what there is, what it died of, and replaying or discarding it.

use super::{
    filter::Found,
    list::{self, micros, place},
    problem,
    schema::{Listed, ProblemBody},
    verbs,
};
use crate::dead_letters::{
    Office,
    listing::{self, Filter, Group, Item, Progress, State, Whole},
    verbs::{Begun, Done, Why},
};
use axum::{
    Json, extract,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use runtime::{
    http::{Body, Params, PathId, Problem},
    page::{Cursor, Limit, Page},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

/// Every route, with its description.
pub(super) fn routes() -> OpenApiRouter<Office> {
    OpenApiRouter::new()
        .routes(routes!(letters))
        .routes(routes!(groups))
        .routes(routes!(replay_many))
        .routes(routes!(discard_many))
        .routes(routes!(progress))
        .routes(routes!(letter))
        .routes(routes!(replay_one))
        .routes(routes!(discard_one))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// 50 when not said.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200)]
    limit: Limit,
    /// The `next` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<(i64, Uuid)>>,
    participant: Option<String>,
    #[serde(rename = "type")]
    message_type: Option<String>,
    #[param(inline)]
    state: Option<State>,
    fingerprint: Option<Uuid>,
    saga_id: Option<Uuid>,
    /// Part of the message's id, its type, the reason, the error or the saga's id, among the 10,000
    /// newest letters.
    text: Option<String>,
}

/// Dead letters, the latest death first.
#[utoipa::path(get, path = "/api/v1/dead-letters", operation_id = "list-dead-letters", params(Wanted), responses(
    (status = 200, body = Listed<Item>, description = "One page."),
    (status = 422, body = ProblemBody, content_type = "application/problem+json", description = "A filter is not acceptable."),
))]
async fn letters(
    extract::State(office): extract::State<Office>,
    Params(wanted): Params<Wanted>,
) -> Result<Json<Page<Item>>, Problem> {
    let before = wanted.cursor.map(|cursor| place(&cursor)).transpose()?;
    let filter = Filter {
        participant: wanted.participant,
        message_type: wanted.message_type,
        state: wanted.state,
        fingerprint: wanted.fingerprint,
        saga_id: wanted.saga_id,
        text: wanted.text,
    };
    possible(&filter, "")?;
    let pool = &office.engine.pool;
    let items = listing::list(pool, &filter, before, wanted.limit.rows()).await.map_err(problem)?;
    Ok(Json(Page::cut(items, wanted.limit, |item| (micros(item.dead_at), item.dead_letter_id))))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Whose {
    participant: Option<String>,
}

/// Dead letters that died of the same thing, counted: those with open letters first, at most 200.
#[utoipa::path(get, path = "/api/v1/dead-letters/groups", operation_id = "group-dead-letters", params(Whose), responses(
    (status = 200, body = Listed<Group>, description = "All of them."),
    (status = 422, body = ProblemBody, content_type = "application/problem+json", description = "A filter is not acceptable."),
))]
async fn groups(
    extract::State(office): extract::State<Office>,
    Params(whose): Params<Whose>,
) -> Result<Json<Page<Group>>, Problem> {
    let filter = Filter { participant: whose.participant, ..Filter::default() };
    possible(&filter, "")?;
    let participant = filter.participant.as_deref();
    let items = listing::groups(&office.engine.pool, participant).await.map_err(problem)?;
    Ok(Json(Page { items, next: None }))
}

/// A letter, whole.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WholeDeadLetter)]
struct View {
    #[serde(flatten)]
    item: Item,
    /// The queue it was taken from before it died.
    died_in: String,
    /// Tries that were spent on it.
    tries: i32,
    #[serde(with = "time::serde::rfc3339::option")]
    first_failure: Option<OffsetDateTime>,
    /// JSON as it is; other text as text; null where it is neither.
    body: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    body_base64: Option<String>,
    #[schema(value_type = Object)]
    headers: Value,
    #[schema(value_type = Object)]
    properties: Value,
    saga: Option<list::Item>,
    /// Why replaying it is refused.
    stale: Option<String>,
}

/// One dead letter, with what it carried and where its saga stands.
#[utoipa::path(get, path = "/api/v1/dead-letters/{id}", operation_id = "get-dead-letter",
    params(("id" = Uuid, Path, description = "The dead letter.")), responses(
    (status = 200, body = View, description = "The letter."),
    (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "There is no such letter."),
))]
async fn letter(
    extract::State(office): extract::State<Office>,
    PathId(id): PathId<Uuid>,
) -> Result<Json<View>, Problem> {
    let pool = &office.engine.pool;
    let Some((item, whole)) = listing::one(pool, id).await.map_err(problem)? else {
        return Err(unknown(id));
    };
    let Whole { died_in, tries, first_failure, body, headers, properties } = whole;
    let saga = Found::all(pool, item.saga_id.as_slice()).await.map_err(problem)?.pop();
    let saga = saga.map(|found| list::Item::of(found, &office.engine.catalogue));
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
        first_failure,
        body,
        body_base64,
        headers: headers.0,
        properties: properties.0,
        saga,
        stale,
    }))
}

/// A verb that is stored, and will have its effect.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AcceptedForDeadLetter)]
struct Accepted {
    dead_letter_id: Uuid,
    accepted: bool,
    audit_id: Uuid,
}

/// What a verb would do.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadLetterRehearsal)]
struct Would {
    dead_letter_id: Uuid,
    dry_run: bool,
    /// The verb.
    would: &'static str,
}

/// Sends the message again, under its own id, to the queue that it fell out of; refused once nobody
/// waits for what it would do.
#[utoipa::path(post, path = "/api/v1/dead-letters/{id}/replay", operation_id = "replay-dead-letter", request_body = verbs::Why,
    params(("id" = Uuid, Path, description = "The dead letter.")), responses(
    (status = 200, body = Would, description = "A dry run: what it would do."),
    (status = 202, body = Accepted, description = "It is stored, and has its effect."),
    (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "There is no such letter."),
    (status = 409, body = ProblemBody, content_type = "application/problem+json", description = "Nobody waits for it, nobody can read it, or it is settled: why."),
))]
async fn replay_one(
    extract::State(office): extract::State<Office>,
    PathId(id): PathId<Uuid>,
    Body(ask): Body<verbs::Why>,
) -> Result<Response, Problem> {
    let (reason, by, dry_run) = ask.checked()?;
    let done = office.replay_one(id, &Why { reason, by }, dry_run).await.map_err(problem)?;
    answer(id, "replay", done)
}

/// Puts a letter aside for good.
#[utoipa::path(post, path = "/api/v1/dead-letters/{id}/discard", operation_id = "discard-dead-letter", request_body = verbs::Why,
    params(("id" = Uuid, Path, description = "The dead letter.")), responses(
    (status = 200, body = Would, description = "A dry run: what it would do."),
    (status = 202, body = Accepted, description = "It is stored, and has its effect."),
    (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "There is no such letter."),
    (status = 409, body = ProblemBody, content_type = "application/problem+json", description = "It is settled: how."),
))]
async fn discard_one(
    extract::State(office): extract::State<Office>,
    PathId(id): PathId<Uuid>,
    Body(ask): Body<verbs::Why>,
) -> Result<Response, Problem> {
    let (reason, by, dry_run) = ask.checked()?;
    let done = office.discard_one(id, &Why { reason, by }, dry_run).await.map_err(problem)?;
    answer(id, "discard", done)
}

fn answer(id: Uuid, verb: &'static str, done: Done) -> Result<Response, Problem> {
    match done {
        Done::NoSuchLetter => Err(unknown(id)),
        Done::Refused(why) => Err(Problem::conflict(why)),
        Done::Would => {
            Ok(Json(Would { dead_letter_id: id, dry_run: true, would: verb }).into_response())
        }
        Done::Accepted(audit_id) => {
            let body = Accepted { dead_letter_id: id, accepted: true, audit_id };
            Ok((StatusCode::ACCEPTED, Json(body)).into_response())
        }
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DeadLetterBulk)]
pub struct AskMany {
    /// As the list's parameters, at least one; `state` is `open` or `refused`. The 10,000 oldest.
    filter: Filter,
    /// For the audit trail.
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
    #[schema(min_length = 1, max_length = 100)]
    by: Option<String>,
    /// Only tell what would happen.
    #[serde(default)]
    dry_run: bool,
}

/// What a verb for many letters leads to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadLetterBulked)]
struct Many {
    /// Where a replay can be followed.
    replay_id: Option<Uuid>,
    matched: i64,
    /// Those of them whose replay would be refused now.
    stale: i64,
    dry_run: bool,
}

/// Replays the letters that match, the oldest first: 1, 2, 5, 10, 20 and so on, each rung once the
/// one before is answered, and none after a letter that died again.
#[utoipa::path(post, path = "/api/v1/dead-letters/bulk/replay", operation_id = "replay-dead-letters", request_body = AskMany, responses(
    (status = 200, body = Many, description = "A dry run: how many it would be."),
    (status = 202, body = Many, description = "It is stored, and goes on by itself."),
))]
async fn replay_many(
    extract::State(office): extract::State<Office>,
    Body(ask): Body<AskMany>,
) -> Result<Response, Problem> {
    let (filter, why, dry_run) = ask.checked()?;
    let begun = office.replay_many(&filter, &why, dry_run).await.map_err(problem)?;
    Ok(answer_many(&begun, dry_run))
}

/// Puts the letters that match aside for good.
#[utoipa::path(post, path = "/api/v1/dead-letters/bulk/discard", operation_id = "discard-dead-letters", request_body = AskMany, responses(
    (status = 200, body = Many, description = "A dry run: how many it would be."),
    (status = 202, body = Many, description = "It is stored, and goes on by itself."),
))]
async fn discard_many(
    extract::State(office): extract::State<Office>,
    Body(ask): Body<AskMany>,
) -> Result<Response, Problem> {
    let (filter, why, dry_run) = ask.checked()?;
    let begun = office.discard_many(&filter, &why, dry_run).await.map_err(problem)?;
    Ok(answer_many(&begun, dry_run))
}

fn answer_many(begun: &Begun, dry_run: bool) -> Response {
    let Begun { replay, matched, stale } = *begun;
    let status = if dry_run { StatusCode::OK } else { StatusCode::ACCEPTED };
    (status, Json(Many { replay_id: replay, matched, stale, dry_run })).into_response()
}

/// How far a replay of many has got.
#[utoipa::path(get, path = "/api/v1/dead-letters/replays/{id}", operation_id = "get-dead-letter-replay",
    params(("id" = Uuid, Path, description = "The replay.")), responses(
    (status = 200, body = Progress, description = "As it stands."),
    (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "There is no such replay."),
))]
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

impl AskMany {
    /// A filter for a verb says something, and nothing that makes no sense.
    fn checked(self) -> Result<(Filter, Why, bool), Problem> {
        let AskMany { filter, reason, by, dry_run } = self;
        let (reason, by, dry_run) = verbs::Why::new(reason, by, dry_run).checked()?;
        if filter == Filter::default() {
            return Err(Problem::field("filter", "says which are meant; it is not empty"));
        }
        if !matches!(filter.state, None | Some(State::Open | State::Refused)) {
            return Err(Problem::field("filter.state", "is open or refused"));
        }
        possible(&filter, "filter.")?;
        Ok((filter, Why { reason, by }, dry_run))
    }
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
