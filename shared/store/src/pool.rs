//! The pool: no wait without a limit, on either side of the connection.

use crate::Lanes;
use runtime::config::{self, Redacted};
use sqlx::{
    Connection,
    postgres::{PgConnectOptions, PgPool, PgPoolOptions},
};
use std::{str::FromStr, time::Duration};
use tokio::time::timeout;

const ACQUIRE: Duration = Duration::from_secs(3);
const IDLE: Duration = Duration::from_secs(300);
/// A connection that was idle for longer is tried before it is used.
const FRESH: Duration = Duration::from_secs(1);
/// For a connection that was idle to say that it is alive.
const ALIVE: Duration = Duration::from_secs(1);
/// For a connection that comes back to say that it is alive, and to roll back what was left open.
const BACK: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text of the URL is not repeated: it may hold a password.
    #[error("DATABASE_URL is not a Postgres URL (postgres://user:password@host:5432/database)")]
    Url,
    #[error(transparent)]
    Config(#[from] config::Error),
}

/// A pool of at most half of `DATABASE_MAX_CONNECTIONS` (8), for all but what has [`lanes`]. Nothing
/// is connected yet: an absent database is met where it is used, by whoever knows how to wait for it.
pub fn pool(url: &Redacted, app: &str) -> Result<PgPool, Error> {
    limited(url, app, &[])
}

/// Connections for the transactions that handle messages: the other half. Each of their statements
/// is planned once for a connection and not for every batch, where planning takes longer than what
/// is planned. A table may be empty then and large soon, so a plan that scans it is a last resort.
pub fn lanes(url: &Redacted, app: &str) -> Result<Lanes, Error> {
    let planned_once =
        [("plan_cache_mode", "force_generic_plan"), ("enable_seqscan", "off"), ("jit", "off")];
    limited(url, app, &planned_once).map(Lanes::over)
}

fn limited(url: &Redacted, app: &str, more: &[(&str, &str)]) -> Result<PgPool, Error> {
    let most = config::env("DATABASE_MAX_CONNECTIONS", Some(8_u32))?;
    let limits = [
        ("statement_timeout", "5s"),
        ("lock_timeout", "3s"),
        ("idle_in_transaction_session_timeout", "10s"),
    ];
    let options = options(url, app)?.options(limits).options(more.iter().copied());
    Ok(PgPoolOptions::new()
        .max_connections((most / 2).max(1))
        .acquire_timeout(ACQUIRE)
        .idle_timeout(IDLE)
        // One that was in use just now needs no ping before its next transaction.
        .test_before_acquire(false)
        .before_acquire(|connection, of| {
            Box::pin(async move {
                if of.idle_for <= FRESH {
                    return Ok(true);
                }
                // A dead one must not use up the time that there is for finding a living one.
                timeout(ALIVE, connection.ping())
                    .await
                    .map_or(Ok(false), |alive| alive.map(|()| true))
            })
        })
        // Otherwise it is asked without a limit, holding its place in the pool: a database that
        // neither answers nor hangs up would take the places of all, for as long as TCP has patience.
        .after_release(|connection, _| {
            Box::pin(async move {
                timeout(BACK, connection.ping())
                    .await
                    .map_or(Ok(false), |alive| alive.map(|()| true))
            })
        })
        .connect_lazy_with(options))
}

/// How to connect to `url`, without limits on statements; for migrations and tests.
pub fn options(url: &Redacted, app: &str) -> Result<PgConnectOptions, Error> {
    let options = PgConnectOptions::from_str(url.expose()).map_err(|_| Error::Url)?;
    Ok(options.application_name(app))
}
