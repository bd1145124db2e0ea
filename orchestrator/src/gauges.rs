//! How many sagas are open, parked, and since when: looked up every few seconds, because no single
//! process sees all of them start and end. Every orchestrator tells the same; take the maximum.

use runtime::shutdown::Shutdown;
use saga_core::Catalogue;
use sqlx::PgPool;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

const PAUSE: Duration = Duration::from_secs(5);
const STATES: [&str; 2] = ["running", "compensating"];

/// Until shutdown begins. While the database is away the last figures stand, and `health_part_up`
/// says so.
pub async fn run(pool: PgPool, catalogue: Arc<Catalogue>, shutdown: Shutdown) {
    while !shutdown.is_begun() {
        match store::in_time(open(&pool)).await {
            Ok(open) => tell(&catalogue, &open),
            Err(error) => tracing::debug!(%error, "open sagas are not counted"),
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = shutdown.begun() => {}
        }
    }
}

#[derive(Debug, sqlx::FromRow)]
struct Open {
    definition: String,
    state: String,
    count: i64,
    parked: i64,
    oldest_seconds: f64,
}

/// Reads open sagas alone (`saga_open`), however many have ended.
async fn open(pool: &PgPool) -> Result<Vec<Open>, sqlx::Error> {
    sqlx::query_as(
        "SELECT definition, state, count(*) AS count, count(parked) AS parked,
                extract(epoch FROM now() - min(created_at))::float8 AS oldest_seconds
           FROM saga
          WHERE ended_at IS NULL
          GROUP BY definition, state",
    )
    .fetch_all(pool)
    .await
}

/// Of definitions without an open saga, too: a series that is missing alarms nobody.
fn tell(catalogue: &Catalogue, open: &[Open]) {
    let known = catalogue.iter().map(|definition| definition.plan().name());
    let mut oldest: BTreeMap<&str, f64> = known.map(|name| (name, 0.0)).collect();
    for row in open {
        let oldest = oldest.entry(&row.definition).or_default();
        *oldest = oldest.max(row.oldest_seconds);
    }
    for (definition, oldest) in oldest {
        for state in STATES {
            let row = open.iter().find(|row| row.definition == definition && row.state == state);
            let (count, parked) = row.map_or((0, 0), |row| (row.count, row.parked));
            let labels = [("definition", definition.to_owned()), ("state", state.to_owned())];
            metrics::gauge!("sagas_in_flight", &labels).set(count as f64);
            metrics::gauge!("sagas_parked", &labels).set(parked as f64);
        }
        metrics::gauge!("saga_oldest_open_seconds", "definition" => definition.to_owned())
            .set(oldest);
    }
}
