//! An accepted order is not left to one message. The start of its saga can be lost with the queue
//! that held it, and then nobody but this service knows that there is anything to be done: so it is
//! sent again, under the same identity, to an orchestrator that starts a saga once.
//!
//! Starts also wait in their queue for good reason, as long as sagas in flight are to finish first,
//! and sending all of them again would make a long queue longer. What tells waiting from lost is the
//! order of the queue: who came later and was begun some time ago has overtaken whoever still waits.
//! Where nobody has come later, the last one of those that wait is sent again: one message, and
//! proof about all before it once it is opened. Each next time comes after twice as long.

use crate::{intake, order::Order};
use runtime::{
    series::{self, Series},
    shutdown::Shutdown,
};
use sqlx::PgPool;
use std::time::Duration;
use store::outbox;

/// From one look to the next.
const PAUSE: Duration = Duration::from_secs(5);
/// Sent again at one look.
const MOST: i64 = 500;
/// The time until the next time is doubled so often: half an hour, of half a minute.
const DOUBLINGS: i32 = 6;

pub const SERIES: &[Series] = &[Series::counter(
    "order_starts_again_total",
    &[],
    "Starts of sagas that were sent again, because the order still waited while later ones had been begun.",
)];

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot write the start of a saga")]
    Encode(#[from] serde_json::Error),
    #[error("cannot look for orders that wait")]
    Storage(#[from] sqlx::Error),
}

/// Looks from time to time, until shutdown begins. `nudge` is called when something is to be sent.
pub async fn watch(pool: PgPool, patience: Duration, nudge: impl Fn() + Send, shutdown: Shutdown) {
    series::describe(SERIES);
    while !shutdown.is_begun() {
        match store::in_time(send_again(&pool, patience)).await {
            Ok(0) => {}
            Ok(starts) => {
                nudge();
                metrics::counter!("order_starts_again_total").increment(starts as u64);
                tracing::warn!(starts, "orders wait for sagas to begin: starts sent again");
            }
            Err(error) => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "no look at waiting orders"
                );
            }
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE.min(patience)) => {}
            () = shutdown.begun() => {}
        }
    }
}

/// Puts into the outbox the starts of orders that have waited for too long; how many.
pub async fn send_again(pool: &PgPool, patience: Duration) -> Result<usize, Error> {
    let mut tx = pool.begin().await?;
    let overdue: Vec<Order> = sqlx::query_as(
        "WITH overdue AS (
            SELECT id FROM orders
             WHERE status = 'pending' AND opened_at IS NULL
               AND created_at < now() - make_interval(secs => $1)
               AND (start_again_at IS NULL OR start_again_at < now())
               AND (id < (SELECT id FROM orders
                           WHERE opened_at < now() - make_interval(secs => $1)
                           ORDER BY id DESC LIMIT 1)
                    OR id = (SELECT id FROM orders
                              WHERE status = 'pending' AND opened_at IS NULL
                              ORDER BY id DESC LIMIT 1))
             ORDER BY id LIMIT $2
               FOR UPDATE SKIP LOCKED
         )
         UPDATE orders
            SET starts_again = starts_again + 1,
                start_again_at = now()
                    + make_interval(secs => $1) * power(2, least(starts_again + 1, $3))
           FROM overdue WHERE orders.id = overdue.id
         RETURNING orders.*",
    )
    .bind(patience.as_secs_f64())
    .bind(MOST)
    .bind(DOUBLINGS)
    .fetch_all(&mut *tx)
    .await?;
    let starts = overdue.iter().map(|order| intake::start(order.order_id, &order.start(), None));
    outbox::put(&mut tx, &starts.collect::<Result<Vec<_>, _>>()?).await?;
    tx.commit().await?;
    Ok(overdue.len())
}
