//! The journal's SQL: whole batches in a fixed number of statements.

use crate::{record::Record, stored::Row};
use contracts::{Leg, Outcome, SagaId};
use runtime::sabotage::Safety;
use saga_core::Budgets;
use sqlx::{PgConnection, PgPool};
use std::collections::BTreeSet;
use time::OffsetDateTime;
use uuid::Uuid;

/// One line of a saga's history.
#[derive(Debug)]
pub struct Line {
    pub saga: SagaId,
    pub seq: i64,
    pub event: &'static str,
    pub step: Option<String>,
    pub leg: Option<Leg>,
    pub attempt: Option<u16>,
    pub outcome: Option<Outcome>,
    /// JSON.
    pub body: Option<Vec<u8>>,
}

/// The database's clock, in the milliseconds that are stored; every due time is computed from it.
pub async fn now(connection: &mut PgConnection) -> sqlx::Result<OffsetDateTime> {
    sqlx::query_scalar("SELECT date_trunc('milliseconds', clock_timestamp())")
        .fetch_one(connection)
        .await
}

/// Brings the clock along: most transactions need no statement of their own for it.
const LOCK: &str = "
    SELECT id, definition, version, state, cause, steps, parked, data::text AS data, revision,
           wake_at, deadline_at, traceparent, created_at, updated_at, ended_at,
           budgets, date_trunc('milliseconds', clock_timestamp()) AS now
      FROM saga WHERE id = ANY($1) ORDER BY id FOR UPDATE";

/// A saga whose row is locked, and the time as [`now`] tells it.
#[derive(sqlx::FromRow)]
pub struct Locked {
    #[sqlx(flatten)]
    pub row: Row,
    pub now: OffsetDateTime,
}

/// Locks the sagas that exist, in the order of their ids, so that no two batches deadlock.
pub async fn lock(
    connection: &mut PgConnection,
    sagas: BTreeSet<Uuid>,
) -> sqlx::Result<Vec<Locked>> {
    if sagas.is_empty() {
        return Ok(Vec::new());
    }
    let sagas: Vec<Uuid> = sagas.into_iter().collect();
    let sql = if Safety::RowLock.is_off() { LOCK.trim_end_matches("FOR UPDATE") } else { LOCK };
    sqlx::query_as(sql).bind(sagas).fetch_all(connection).await
}

/// Stores sagas that start, and returns those that did not exist before.
pub async fn insert(connection: &mut PgConnection, records: &[&Record]) -> sqlx::Result<Vec<Uuid>> {
    if records.is_empty() {
        return Ok(Vec::new());
    }
    let columns = Columns::of(records);
    let definitions: Vec<&str> = records.iter().map(|r| r.definition.plan().name()).collect();
    let versions: Vec<i32> =
        records.iter().map(|r| i32::from(r.definition.plan().version())).collect();
    let traces: Vec<Option<&str>> = records.iter().map(|r| r.traceparent.as_deref()).collect();
    let created: Vec<OffsetDateTime> = records.iter().map(|r| r.created_at).collect();
    sqlx::query_scalar(
        "INSERT INTO saga (id, definition, version, state, steps, data, revision, wake_at,
                           look_at, deadline_at, traceparent, created_at, updated_at, budgets)
         SELECT id, definition, version, state, steps::jsonb, data::json, revision, wake_at,
                wake_at, deadline_at, traceparent, created_at, created_at, budgets::jsonb
           FROM unnest($1::uuid[], $2::text[], $3::int[], $4::text[], $5::text[], $6::text[],
                       $7::bigint[], $8::timestamptz[], $9::timestamptz[], $10::text[],
                       $11::timestamptz[], $12::text[])
             AS new (id, definition, version, state, steps, data, revision, wake_at, deadline_at,
                     traceparent, created_at, budgets)
          ORDER BY id
         ON CONFLICT (id) DO NOTHING
         RETURNING id",
    )
    .bind(columns.ids)
    .bind(definitions)
    .bind(versions)
    .bind(columns.states)
    .bind(columns.steps)
    .bind(columns.data)
    .bind(columns.revisions)
    .bind(columns.wakes)
    .bind(columns.deadlines)
    .bind(traces)
    .bind(created)
    .bind(records.iter().map(|r| json(&Budgets::of(r.definition.plan()))).collect::<Vec<_>>())
    .fetch_all(connection)
    .await
}

/// Stores sagas that have moved, whose rows are locked, and adds to the histories.
pub async fn update(
    connection: &mut PgConnection,
    records: &[&Record],
    lines: &[Line],
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    if records.is_empty() && lines.is_empty() {
        return Ok(());
    }
    let columns = Columns::of(records);
    let causes: Vec<Option<String>> = records.iter().map(|r| r.reason.as_ref().map(json)).collect();
    let parked: Vec<Option<&str>> = records.iter().map(|r| r.parked()).collect();
    let ended: Vec<Option<OffsetDateTime>> = records.iter().map(|r| r.ended_at).collect();
    let text = |body: &Vec<u8>| String::from_utf8_lossy(body).into_owned();
    // Both in one round trip.
    sqlx::query(
        "WITH moved AS (
             UPDATE saga SET state = new.state, cause = new.cause::jsonb, steps = new.steps::jsonb,
                    parked = new.parked, data = new.data::json, revision = new.revision,
                    wake_at = new.wake_at, deadline_at = new.deadline_at, ended_at = new.ended_at,
                    updated_at = $1,
                    look_at = CASE WHEN saga.look_at BETWEEN $1 AND new.wake_at THEN saga.look_at
                                   ELSE new.wake_at END
               FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                           $8::bigint[], $9::timestamptz[], $10::timestamptz[],
                           $11::timestamptz[])
                 AS new (id, state, cause, steps, parked, data, revision, wake_at, deadline_at,
                         ended_at)
              WHERE saga.id = new.id)
         INSERT INTO saga_event (saga_id, seq, at, event, step, leg, attempt, outcome, body)
         SELECT saga_id, seq, $1, event, step, leg, attempt, outcome, body::json
           FROM unnest($12::uuid[], $13::bigint[], $14::text[], $15::text[], $16::text[],
                       $17::int[], $18::text[], $19::text[])
             AS new (saga_id, seq, event, step, leg, attempt, outcome, body)",
    )
    .bind(now)
    .bind(columns.ids)
    .bind(columns.states)
    .bind(causes)
    .bind(columns.steps)
    .bind(parked)
    .bind(columns.data)
    .bind(columns.revisions)
    .bind(columns.wakes)
    .bind(columns.deadlines)
    .bind(ended)
    .bind(lines.iter().map(|line| line.saga.0).collect::<Vec<_>>())
    .bind(lines.iter().map(|line| line.seq).collect::<Vec<_>>())
    .bind(lines.iter().map(|line| line.event).collect::<Vec<_>>())
    .bind(lines.iter().map(|line| line.step.as_deref()).collect::<Vec<_>>())
    .bind(lines.iter().map(|line| line.leg.map(Leg::as_str)).collect::<Vec<_>>())
    .bind(lines.iter().map(|line| line.attempt.map(i32::from)).collect::<Vec<_>>())
    .bind(lines.iter().map(|line| line.outcome.map(Outcome::as_str)).collect::<Vec<_>>())
    .bind(lines.iter().map(|line| line.body.as_ref().map(text)).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// Sagas of the given definitions (`name/version`) whose wake-up time has come, longest due first.
/// By `now()`, which is this statement's beginning: no index is searched for the volatile
/// `clock_timestamp()`, and every open saga would be read.
pub async fn due(pool: &PgPool, definitions: &[String], most: i64) -> sqlx::Result<Vec<Uuid>> {
    loop {
        let looked_at: Vec<(Uuid, bool)> = sqlx::query_as(
            "SELECT id, wake_at <= now() FROM saga
              WHERE look_at <= now() AND definition || '/' || version = ANY($1)
              ORDER BY look_at LIMIT $2",
        )
        .bind(definitions)
        .bind(most)
        .fetch_all(pool)
        .await?;
        let all = i64::try_from(looked_at.len()).is_ok_and(|found| found < most);
        let (due, early): (Vec<_>, Vec<_>) = looked_at.into_iter().partition(|(_, is_due)| *is_due);
        if !early.is_empty() {
            // They have got on since; their next look is when they are really due.
            let early: Vec<Uuid> = early.into_iter().map(|(id, _)| id).collect();
            sqlx::query(
                "UPDATE saga SET look_at = wake_at WHERE id IN
                    (SELECT id FROM saga WHERE id = ANY($1) ORDER BY id FOR UPDATE)",
            )
            .bind(early)
            .execute(pool)
            .await?;
        }
        if all || !due.is_empty() {
            return Ok(due.into_iter().map(|(id, _)| id).collect());
        }
    }
}

/// The columns that inserts and updates share.
struct Columns<'a> {
    ids: Vec<Uuid>,
    states: Vec<&'static str>,
    steps: Vec<String>,
    data: Vec<&'a str>,
    revisions: Vec<i64>,
    wakes: Vec<Option<OffsetDateTime>>,
    deadlines: Vec<Option<OffsetDateTime>>,
}

impl<'a> Columns<'a> {
    fn of(records: &[&'a Record]) -> Self {
        Columns {
            ids: records.iter().map(|r| r.id.0).collect(),
            states: records.iter().map(|r| r.state_word()).collect(),
            steps: records.iter().map(|r| json(&r.steps())).collect(),
            // Data is written by serde_json alone.
            data: records.iter().map(|r| std::str::from_utf8(&r.data).unwrap_or("null")).collect(),
            revisions: records.iter().map(|r| r.revision).collect(),
            wakes: records.iter().map(|r| r.wake_at()).collect(),
            deadlines: records.iter().map(|r| r.deadline).collect(),
        }
    }
}

fn json<T: serde::Serialize>(value: &T) -> String {
    // Plain structs of strings and numbers: writing them as JSON cannot fail.
    serde_json::to_string(value).unwrap_or_else(|_| "null".into())
}
