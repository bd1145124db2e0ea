//! The inbox: what became of each leg, so that a leg asked for again is answered and not redone.
//!
//! Its primary key is also the barrier between an action and its compensation: both claim the
//! action's row, and a claim waits for an uncommitted one. Claims are taken in key order, so that
//! two instances never wait for each other in a circle.

use contracts::{EventEnvelope, Leg, Outcome, SagaId};
use sqlx::{PgConnection, Row as _, postgres::PgRow};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// Names a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub saga: SagaId,
    pub step: String,
    pub leg: Leg,
}

/// What kind of row it is; see `participant.sql`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Answer,
    Intent,
    Tombstone,
    Abandoned,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Answer => "answer",
            Kind::Intent => "intent",
            Kind::Tombstone => "tombstone",
            Kind::Abandoned => "abandoned",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Row {
    pub kind: Kind,
    /// `None` while it is an intent. Never [`Outcome::Faulted`]: faults are not remembered.
    pub outcome: Option<Outcome>,
    /// JSON.
    pub reply: Option<String>,
    pub events: Vec<EventEnvelope>,
    /// JSON.
    pub intent: Option<String>,
}

/// A row to be taken if it is free: as an intent, or as a tombstone.
#[derive(Clone, Debug)]
pub struct Claim {
    pub key: Key,
    pub tombstone: bool,
}

/// What a claimed row becomes.
#[derive(Clone, Debug)]
pub struct Answer {
    pub key: Key,
    pub outcome: Outcome,
    /// JSON.
    pub reply: String,
    pub events: Vec<EventEnvelope>,
}

/// What a call to the outside was prepared with.
#[derive(Clone, Debug)]
pub struct Intent {
    pub key: Key,
    pub json: String,
}

/// Takes the rows that are free and says which those were. Waits for another transaction that
/// has claimed one of them and has not ended yet.
pub async fn claim(
    connection: &mut PgConnection,
    claims: &[Claim],
) -> Result<HashSet<Key>, sqlx::Error> {
    let keys = Columns::of(claims.iter().map(|claim| &claim.key));
    let (kinds, outcomes): (Vec<_>, Vec<_>) = claims
        .iter()
        .map(|claim| match claim.tombstone {
            true => (Kind::Tombstone.as_str(), Some("refused")),
            false => (Kind::Intent.as_str(), None),
        })
        .unzip();
    let rows = sqlx::query(
        "INSERT INTO inbox (saga_id, step, leg, kind, outcome)
         SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[])
             AS claim (saga_id, step, leg, kind, outcome)
         ORDER BY saga_id, step, leg
         ON CONFLICT DO NOTHING
         RETURNING saga_id, step, leg",
    )
    .bind(keys.sagas)
    .bind(keys.steps)
    .bind(keys.legs)
    .bind(kinds)
    .bind(outcomes)
    .fetch_all(connection)
    .await?;
    rows.iter().map(key).collect()
}

/// The rows that exist, of those named.
pub async fn read(
    connection: &mut PgConnection,
    keys: &[Key],
) -> Result<HashMap<Key, Row>, sqlx::Error> {
    let keys = Columns::of(keys.iter());
    let rows = sqlx::query(
        "SELECT saga_id, step, leg, kind, outcome, reply::text, events::text, intent::text
         FROM unnest($1::uuid[], $2::text[], $3::text[]) AS wanted (saga_id, step, leg)
         JOIN inbox USING (saga_id, step, leg)",
    )
    .bind(keys.sagas)
    .bind(keys.steps)
    .bind(keys.legs)
    .fetch_all(connection)
    .await?;
    rows.iter().map(|found| Ok((key(found)?, row(found)?))).collect()
}

/// The rows that exist, of those named, locked until the transaction ends: whoever settles an
/// intent holds it.
pub async fn lock(
    connection: &mut PgConnection,
    keys: &[Key],
) -> Result<HashMap<Key, Row>, sqlx::Error> {
    let keys = Columns::of(keys.iter());
    let rows = sqlx::query(
        "SELECT saga_id, step, leg, kind, outcome, reply::text, events::text, intent::text
         FROM unnest($1::uuid[], $2::text[], $3::text[]) AS wanted (saga_id, step, leg)
         JOIN inbox USING (saga_id, step, leg)
         ORDER BY saga_id, step, leg FOR UPDATE OF inbox",
    )
    .bind(keys.sagas)
    .bind(keys.steps)
    .bind(keys.legs)
    .fetch_all(connection)
    .await?;
    rows.iter().map(|found| Ok((key(found)?, row(found)?))).collect()
}

/// Adds answers whose rows nobody has claimed, and says how many those were.
pub async fn add(connection: &mut PgConnection, answers: &[Answer]) -> Result<usize, sqlx::Error> {
    if answers.is_empty() {
        return Ok(0);
    }
    let Told { keys, outcomes, replies, events } = Told::of(answers)?;
    let added = sqlx::query(
        "INSERT INTO inbox (saga_id, step, leg, kind, outcome, reply, events)
         SELECT saga_id, step, leg, 'answer', outcome, reply::jsonb, events::jsonb
         FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
             AS answer (saga_id, step, leg, outcome, reply, events)
         ORDER BY saga_id, step, leg
         ON CONFLICT DO NOTHING",
    )
    .bind(keys.sagas)
    .bind(keys.steps)
    .bind(keys.legs)
    .bind(outcomes)
    .bind(replies)
    .bind(events)
    .execute(connection)
    .await?;
    Ok(usize::try_from(added.rows_affected()).unwrap_or(usize::MAX))
}

/// Turns claimed rows into answers.
pub async fn answer(connection: &mut PgConnection, answers: &[Answer]) -> Result<(), sqlx::Error> {
    if answers.is_empty() {
        return Ok(());
    }
    let Told { keys, outcomes, replies, events } = Told::of(answers)?;
    let changed = sqlx::query(
        "UPDATE inbox
         SET kind = 'answer', outcome = answer.outcome, reply = answer.reply::jsonb,
             events = answer.events::jsonb, at = now()
         FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
             AS answer (saga_id, step, leg, outcome, reply, events)
         WHERE inbox.saga_id = answer.saga_id AND inbox.step = answer.step
           AND inbox.leg = answer.leg",
    )
    .bind(keys.sagas)
    .bind(keys.steps)
    .bind(keys.legs)
    .bind(outcomes)
    .bind(replies)
    .bind(events)
    .execute(connection)
    .await?;
    match changed.rows_affected() == answers.len() as u64 {
        true => Ok(()),
        // An effect must never commit without its row.
        false => Err(sqlx::Error::RowNotFound),
    }
}

/// Gives claimed rows back, as after a fault.
pub async fn forget(connection: &mut PgConnection, keys: &[Key]) -> Result<(), sqlx::Error> {
    if keys.is_empty() {
        return Ok(());
    }
    let keys = Columns::of(keys.iter());
    sqlx::query(
        "DELETE FROM inbox
         USING unnest($1::uuid[], $2::text[], $3::text[]) AS gone (saga_id, step, leg)
         WHERE inbox.saga_id = gone.saga_id AND inbox.step = gone.step AND inbox.leg = gone.leg",
    )
    .bind(keys.sagas)
    .bind(keys.steps)
    .bind(keys.legs)
    .execute(connection)
    .await?;
    Ok(())
}

/// Stores what calls to the outside were prepared with, in claimed rows.
pub async fn intend(connection: &mut PgConnection, intents: &[Intent]) -> Result<(), sqlx::Error> {
    if intents.is_empty() {
        return Ok(());
    }
    let keys = Columns::of(intents.iter().map(|intent| &intent.key));
    sqlx::query(
        "UPDATE inbox SET intent = new.intent::jsonb
         FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[])
             AS new (saga_id, step, leg, intent)
         WHERE inbox.saga_id = new.saga_id AND inbox.step = new.step AND inbox.leg = new.leg
           AND inbox.kind = 'intent'",
    )
    .bind(keys.sagas)
    .bind(keys.steps)
    .bind(keys.legs)
    .bind(intents.iter().map(|intent| intent.json.as_str()).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// Adds intents whose rows nobody has claimed, and says how many those were.
pub async fn add_intents(
    connection: &mut PgConnection,
    intents: &[Intent],
) -> Result<usize, sqlx::Error> {
    if intents.is_empty() {
        return Ok(0);
    }
    let keys = Columns::of(intents.iter().map(|intent| &intent.key));
    let added = sqlx::query(
        "INSERT INTO inbox (saga_id, step, leg, kind, intent)
         SELECT saga_id, step, leg, 'intent', intent::jsonb
         FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[])
             AS new (saga_id, step, leg, intent)
         ORDER BY saga_id, step, leg
         ON CONFLICT DO NOTHING",
    )
    .bind(keys.sagas)
    .bind(keys.steps)
    .bind(keys.legs)
    .bind(intents.iter().map(|intent| intent.json.as_str()).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(usize::try_from(added.rows_affected()).unwrap_or(usize::MAX))
}

/// Ends an intent without a result: it is being compensated, and its own result comes too late
/// from now on.
pub async fn abandon(connection: &mut PgConnection, wanted: &Key) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE inbox SET kind = 'abandoned', outcome = 'refused', at = now()
         WHERE saga_id = $1 AND step = $2 AND leg = $3 AND kind = 'intent'",
    )
    .bind(wanted.saga.0)
    .bind(&wanted.step)
    .bind(wanted.leg.as_str())
    .execute(connection)
    .await?;
    Ok(())
}

/// Keys as the arrays that `unnest` takes.
struct Columns<'a> {
    sagas: Vec<Uuid>,
    steps: Vec<&'a str>,
    legs: Vec<&'static str>,
}

impl<'a> Columns<'a> {
    fn of(keys: impl Iterator<Item = &'a Key>) -> Self {
        let mut columns = Columns { sagas: Vec::new(), steps: Vec::new(), legs: Vec::new() };
        for key in keys {
            columns.sagas.push(key.saga.0);
            columns.steps.push(&key.step);
            columns.legs.push(key.leg.as_str());
        }
        columns
    }
}

/// Answers as arrays.
struct Told<'a> {
    keys: Columns<'a>,
    outcomes: Vec<&'static str>,
    replies: Vec<&'a str>,
    events: Vec<Option<String>>,
}

impl<'a> Told<'a> {
    fn of(answers: &'a [Answer]) -> Result<Self, sqlx::Error> {
        let events = answers.iter().map(|answer| match answer.events.is_empty() {
            true => Ok(None),
            false => serde_json::to_string(&answer.events).map(Some),
        });
        Ok(Told {
            keys: Columns::of(answers.iter().map(|answer| &answer.key)),
            outcomes: answers.iter().map(|answer| answer.outcome.as_str()).collect(),
            replies: answers.iter().map(|answer| answer.reply.as_str()).collect(),
            events: events
                .collect::<Result<_, _>>()
                .map_err(|error: serde_json::Error| sqlx::Error::Encode(error.into()))?,
        })
    }
}

fn key(row: &PgRow) -> Result<Key, sqlx::Error> {
    let leg: &str = row.try_get("leg")?;
    Ok(Key {
        saga: SagaId(row.try_get("saga_id")?),
        step: row.try_get("step")?,
        leg: leg.parse().map_err(decode)?,
    })
}

fn row(row: &PgRow) -> Result<Row, sqlx::Error> {
    let outcome: Option<&str> = row.try_get("outcome")?;
    let events: Option<&str> = row.try_get("events")?;
    let kind = match row.try_get("kind")? {
        "answer" => Kind::Answer,
        "intent" => Kind::Intent,
        "tombstone" => Kind::Tombstone,
        "abandoned" => Kind::Abandoned,
        other => return Err(sqlx::Error::Decode(format!("{other:?} is no inbox kind").into())),
    };
    Ok(Row {
        kind,
        outcome: outcome.map(str::parse).transpose().map_err(decode)?,
        reply: row.try_get("reply")?,
        events: events.map(serde_json::from_str).transpose().map_err(decode)?.unwrap_or_default(),
        intent: row.try_get("intent")?,
    })
}

fn decode(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}
