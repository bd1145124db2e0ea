//! Dead letters as they are looked for.

use super::fingerprint;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{FromRow, PgPool, types::Json};
use std::collections::BTreeMap;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

/// Where a letter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = DeadLetterState)]
pub enum State {
    Open,
    /// Its replay is decided, and what comes of it is not known yet.
    Replaying,
    Replayed,
    Discarded,
    /// Nobody waits for what it would do.
    Refused,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            State::Open => "open",
            State::Replaying => "replaying",
            State::Replayed => "replayed",
            State::Discarded => "discarded",
            State::Refused => "refused",
        }
    }
}

/// Which letters are meant; what is absent does not matter.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = DeadLetterFilter)]
pub struct Filter {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub participant: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub message_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saga_id: Option<Uuid>,
    /// Part of the message's id, its type, the reason, the error or the saga's id. Looked for among
    /// the 10,000 newest of the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl Filter {
    /// The text that no row can have, as it holds a NUL.
    pub fn impossible(&self) -> Option<&'static str> {
        let texts = [
            ("participant", &self.participant),
            ("type", &self.message_type),
            ("text", &self.text),
        ];
        let bad = |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains('\0'));
        texts.into_iter().find(|(_, text)| bad(text)).map(|(name, _)| name)
    }
}

/// A dead letter.
#[derive(Debug, FromRow, Serialize, ToSchema)]
#[schema(as = DeadLetter)]
pub struct Item {
    pub dead_letter_id: Uuid,
    pub participant: String,
    pub message_id: Option<String>,
    #[serde(rename = "type")]
    #[sqlx(rename = "type")]
    pub message_type: Option<String>,
    pub saga_id: Option<Uuid>,
    pub step: Option<String>,
    pub leg: Option<String>,
    pub attempt: Option<i32>,
    pub reason: String,
    pub error: String,
    pub fingerprint: Uuid,
    pub state: String,
    /// Why it was refused or discarded, or what came of its replay.
    pub remark: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub dead_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub collected_at: OffsetDateTime,
    /// How often it has died.
    pub deaths: i32,
    pub replays: i32,
}

/// What is kept of the message itself.
#[derive(Debug, FromRow)]
pub struct Whole {
    pub died_in: String,
    pub tries: i32,
    pub first_failure: Option<OffsetDateTime>,
    pub body: Vec<u8>,
    pub headers: Json<Value>,
    pub properties: Json<Value>,
}

/// Letters that died of the same thing.
#[derive(Debug, FromRow, Serialize, ToSchema)]
#[schema(as = DeadLetterGroup)]
pub struct Group {
    pub fingerprint: Uuid,
    pub participant: String,
    #[serde(rename = "type")]
    #[sqlx(rename = "type")]
    pub message_type: Option<String>,
    pub reason: String,
    /// With ids and numbers folded.
    pub error: String,
    pub open: i64,
    /// Of the open ones and of the 10,000 newest of all.
    pub total: i64,
    #[serde(with = "time::serde::rfc3339")]
    pub first_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub last_at: OffsetDateTime,
    /// The latest of them.
    pub example: Uuid,
}

macro_rules! item {
    () => {
        "id AS dead_letter_id, participant, message_id, type, saga_id, step, leg, attempt, reason,
         error, fingerprint, state, remark, dead_at, collected_at, deaths, replays"
    };
}

/// `$1` to `$6` are the filter.
macro_rules! matching {
    () => {
        "($1::text IS NULL OR participant = $1) AND ($2::text IS NULL OR type = $2)
         AND ($3::text IS NULL OR state = $3) AND ($4::uuid IS NULL OR fingerprint = $4)
         AND ($5::uuid IS NULL OR saga_id = $5)
         AND ($6::text IS NULL OR (
             dead_at >= coalesce((SELECT dead_at FROM dead_letter
                                   ORDER BY dead_at DESC, id DESC OFFSET 9999 LIMIT 1),
                                 '-infinity')
             AND position(lower($6) IN lower(concat_ws(' ', message_id, type, reason, error,
                                                       saga_id::text))) > 0))"
    };
}
pub(super) use matching;

/// Binds `$1` to `$6`.
macro_rules! bound {
    ($query:expr, $filter:expr) => {
        $query
            .bind($filter.participant.as_deref())
            .bind($filter.message_type.as_deref())
            .bind($filter.state.map(State::as_str))
            .bind($filter.fingerprint)
            .bind($filter.saga_id)
            .bind($filter.text.as_deref())
    };
}
pub(super) use bound;

/// The latest first, `rows` of those before `(dead_at, id)`.
pub async fn list(
    pool: &PgPool,
    filter: &Filter,
    before: Option<(OffsetDateTime, Uuid)>,
    rows: i64,
) -> sqlx::Result<Vec<Item>> {
    let (at, id) = before.unzip();
    let query = sqlx::query_as(concat!(
        "SELECT ",
        item!(),
        " FROM dead_letter WHERE ",
        matching!(),
        " AND ($7::timestamptz IS NULL OR (dead_at, id) < ($7, $8))
          ORDER BY dead_at DESC, id DESC LIMIT $9"
    ));
    bound!(query, filter).bind(at).bind(id).bind(rows).fetch_all(pool).await
}

pub async fn one(pool: &PgPool, id: Uuid) -> sqlx::Result<Option<(Item, Whole)>> {
    let item: Option<Item> =
        sqlx::query_as(concat!("SELECT ", item!(), " FROM dead_letter WHERE id = $1"))
            .bind(id)
            .fetch_optional(pool)
            .await?;
    let Some(item) = item else { return Ok(None) };
    let whole = sqlx::query_as(
        "SELECT died_in, tries, first_failure, body, headers, properties
           FROM dead_letter WHERE id = $1",
    )
    .bind(id)
    .fetch_one(pool)
    .await?;
    Ok(Some((item, whole)))
}

/// Of one saga, the oldest first.
pub async fn of_saga(pool: &PgPool, saga: Uuid) -> sqlx::Result<Vec<Item>> {
    sqlx::query_as(concat!(
        "SELECT ",
        item!(),
        " FROM dead_letter WHERE saga_id = $1 ORDER BY dead_at, id LIMIT 100"
    ))
    .bind(saga)
    .fetch_all(pool)
    .await
}

/// Those with an open letter first, and among them those with the latest death. Of all open letters
/// and of the 10,000 newest: the console asks every few seconds, and the past only grows.
pub async fn groups(pool: &PgPool, participant: Option<&str>) -> sqlx::Result<Vec<Group>> {
    let mut groups: Vec<Group> = sqlx::query_as(
        "WITH grouped AS (
             SELECT fingerprint, count(*) FILTER (WHERE state = 'open') AS open, count(*) AS total,
                    min(dead_at) AS first_at, max(dead_at) AS last_at
               FROM dead_letter
              WHERE ($1::text IS NULL OR participant = $1)
                AND (state = 'open' OR dead_at >= coalesce(
                    (SELECT dead_at FROM dead_letter ORDER BY dead_at DESC, id DESC
                     OFFSET 9999 LIMIT 1), '-infinity'))
              GROUP BY fingerprint
              ORDER BY (count(*) FILTER (WHERE state = 'open') > 0) DESC, max(dead_at) DESC
              LIMIT 200)
         SELECT fingerprint, participant, type, reason, error, open, total, first_at, last_at, id AS example
           FROM grouped CROSS JOIN LATERAL (
                SELECT id, participant, type, reason, error FROM dead_letter AS latest
                 WHERE latest.fingerprint = grouped.fingerprint
                 ORDER BY dead_at DESC, id DESC LIMIT 1) AS latest
          ORDER BY (open > 0) DESC, last_at DESC",
    )
    .bind(participant)
    .fetch_all(pool)
    .await?;
    for group in &mut groups {
        group.error = fingerprint::folded(&group.error);
    }
    Ok(groups)
}

/// Open letters by participant.
pub async fn open(pool: &PgPool) -> sqlx::Result<BTreeMap<String, i64>> {
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "SELECT participant, count(*) FROM dead_letter WHERE state = 'open' GROUP BY participant",
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().collect())
}

/// A replay of many, as it stands.
#[derive(Debug, FromRow, Serialize, ToSchema)]
#[schema(as = DeadLetterReplay)]
pub struct Progress {
    pub replay_id: Uuid,
    pub state: String,
    pub matched: i64,
    pub replayed: i64,
    /// Nobody waited for them, or somebody else had seen to them.
    pub refused: i64,
    /// Died again.
    pub failed: i64,
    /// Not sent, or sent and not answered so far.
    pub waiting: i64,
    /// Why it has stopped.
    pub text: Option<String>,
}

pub async fn progress(pool: &PgPool, replay: Uuid) -> sqlx::Result<Option<Progress>> {
    sqlx::query_as(
        "SELECT replay.id AS replay_id, replay.state, replay.matched::bigint AS matched,
                count(*) FILTER (WHERE outcome = 'replayed' AND answered) AS replayed,
                count(*) FILTER (WHERE outcome = 'refused') AS refused,
                count(*) FILTER (WHERE outcome = 'failed') AS failed,
                count(*) FILTER (WHERE outcome IN ('waiting', 'sent')
                                    OR (outcome = 'replayed' AND NOT answered)) AS waiting,
                replay.text
           FROM dead_letter_replay AS replay
           LEFT JOIN dead_letter_replay_item AS item ON item.replay_id = replay.id
           LEFT JOIN dead_letter AS letter ON letter.id = item.dead_letter_id
          WHERE replay.id = $1 GROUP BY replay.id",
    )
    .bind(replay)
    .fetch_optional(pool)
    .await
}
