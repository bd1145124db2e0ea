//! How many sagas there are, at a glance. Reads open sagas and the latest past, never all of it.

use super::{Desk, filter::StateWord, problem};
use axum::{Json, extract::State};
use runtime::http::Problem;
use serde::Serialize;
use sqlx::{FromRow, PgPool};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use time::OffsetDateTime;
use tokio::sync::Mutex;
use utoipa::ToSchema;
use uuid::Uuid;

/// Whoever asks within this time gets the same answer, however many ask.
const FRESH: Duration = Duration::from_secs(1);

/// A day of more endings than this is counted anew only so often.
const MANY: i64 = 10_000;
const FRESH_DAY: Duration = Duration::from_secs(30);

/// The counts that were made last.
#[derive(Clone, Default)]
pub struct Recent(Arc<Mutex<Option<Made>>>);

#[derive(Clone)]
struct Made {
    at: Instant,
    counts: Counts,
    /// When the endings of the day were counted.
    day_at: Instant,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Counts {
    in_flight: i64,
    parked: i64,
    oldest_open: Option<OldestOpen>,
    /// Open sagas.
    by: Vec<Count>,
    ended_last_24h: Ended,
    rates: Rates,
}

#[derive(Clone, Debug, FromRow, Serialize, ToSchema)]
struct OldestOpen {
    saga_id: Uuid,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

#[derive(Clone, Debug, FromRow, Serialize, ToSchema)]
struct Count {
    definition: String,
    #[schema(value_type = StateWord)]
    state: String,
    parked: bool,
    count: i64,
}

#[derive(Clone, Debug, FromRow, Serialize, ToSchema)]
struct Ended {
    completed: i64,
    compensated: i64,
    /// There were more; only the latest 100,000 are counted. From 10,000 on the count is up to half
    /// a minute old.
    at_least: bool,
}

/// Over the last minute.
#[derive(Clone, Debug, FromRow, Serialize, ToSchema)]
struct Rates {
    started_per_minute: i64,
    ended_per_minute: i64,
}

/// How many sagas are open, parked, and how fast they come and go.
#[utoipa::path(get, path = "/api/v1/sagas/counts", operation_id = "count-sagas", responses(
    (status = 200, body = Counts, description = "At most a second old."),
))]
pub async fn counts(State(desk): State<Desk>) -> Result<Json<Counts>, Problem> {
    let mut recent = desk.counts.0.lock().await;
    if let Some(made) = recent.as_ref()
        && made.at.elapsed() < FRESH
    {
        return Ok(Json(made.counts.clone()));
    }
    let day = recent.as_ref().filter(|made| made.keeps_day());
    let (day, day_at) = match day {
        Some(made) => (made.counts.ended_last_24h.clone(), made.day_at),
        None => (ended(&desk.engine.pool).await.map_err(problem)?, Instant::now()),
    };
    let counts = count(&desk.engine.pool, day).await.map_err(problem)?;
    *recent = Some(Made { at: Instant::now(), counts: counts.clone(), day_at });
    Ok(Json(counts))
}

impl Made {
    fn keeps_day(&self) -> bool {
        let Ended { completed, compensated, .. } = self.counts.ended_last_24h;
        completed + compensated > MANY && self.day_at.elapsed() < FRESH_DAY
    }
}

async fn ended(pool: &PgPool) -> sqlx::Result<Ended> {
    sqlx::query_as(
        "SELECT count(*) FILTER (WHERE state = 'completed') AS completed,
                count(*) FILTER (WHERE state = 'compensated') AS compensated,
                count(*) >= 100000 AS at_least
           FROM (SELECT state FROM saga WHERE ended_at > now() - interval '24 h'
                  ORDER BY ended_at DESC LIMIT 100000) AS latest",
    )
    .fetch_one(pool)
    .await
}

async fn count(pool: &PgPool, ended_last_24h: Ended) -> sqlx::Result<Counts> {
    let by: Vec<Count> = sqlx::query_as(
        "SELECT definition, state, parked IS NOT NULL AS parked, count(*) AS count FROM saga
          WHERE ended_at IS NULL GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
    )
    .fetch_all(pool)
    .await?;
    let oldest_open = sqlx::query_as(
        "SELECT id AS saga_id, created_at FROM saga WHERE ended_at IS NULL
          ORDER BY created_at, id LIMIT 1",
    )
    .fetch_optional(pool)
    .await?;
    let rates = sqlx::query_as(
        "SELECT (SELECT count(*) FROM saga WHERE created_at > now() - interval '1 min')
                    AS started_per_minute,
                (SELECT count(*) FROM saga WHERE ended_at > now() - interval '1 min')
                    AS ended_per_minute",
    )
    .fetch_one(pool)
    .await?;
    Ok(Counts {
        in_flight: by.iter().map(|one| one.count).sum(),
        parked: by.iter().filter(|one| one.parked).map(|one| one.count).sum(),
        oldest_open,
        by,
        ended_last_24h,
        rates,
    })
}
