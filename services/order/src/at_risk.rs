//! How much money hangs in the air: orders that were begun and are neither confirmed nor cancelled,
//! whose amount may be reserved or taken already.

use runtime::{
    series::{self, Series},
    shutdown::Shutdown,
};
use sqlx::PgPool;
use std::{collections::BTreeSet, time::Duration};

const PAUSE: Duration = Duration::from_secs(5);

pub const SERIES: &[Series] = &[Series::gauge(
    "order_value_at_risk",
    &["currency"],
    "Minor units of orders that were begun and are neither confirmed nor cancelled: reserved or taken, perhaps.",
)];

/// Until shutdown begins; while the database is away the last figures stand.
pub async fn watch(pool: PgPool, shutdown: Shutdown) {
    series::describe(SERIES);
    let mut currencies = BTreeSet::new();
    while !shutdown.is_begun() {
        match store::in_time(open(&pool)).await {
            Ok(open) => {
                // A currency without open orders any more goes down to nothing.
                currencies.extend(open.iter().map(|(currency, _)| currency.clone()));
                for currency in &currencies {
                    let amount = open.iter().find(|(name, _)| name == currency);
                    metrics::gauge!("order_value_at_risk", "currency" => currency.clone())
                        .set(amount.map_or(0.0, |(_, amount)| *amount));
                }
            }
            Err(error) => tracing::debug!(%error, "the value at risk is not known"),
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = shutdown.begun() => {}
        }
    }
}

async fn open(pool: &PgPool) -> Result<Vec<(String, f64)>, sqlx::Error> {
    sqlx::query_as(
        "SELECT currency, sum(amount)::float8
           FROM orders
          WHERE status = 'pending' AND opened_at IS NOT NULL
          GROUP BY currency",
    )
    .fetch_all(pool)
    .await
}
