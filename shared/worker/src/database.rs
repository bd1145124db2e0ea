//! The service's own database, behind a breaker: while it is away the work at hand waits, and no
//! command is blamed.

use crate::{Fault, outcome::Nature};
use runtime::{
    health::Part,
    resilience::{Backoff, Breaker, BreakerPolicy, Broken},
    shutdown::Shutdown,
};
use sqlx::PgPool;
use std::{future::Future, time::Duration};
use store::Lanes;

/// For one transaction; statements have shorter limits of their own.
const LIMIT: Duration = Duration::from_secs(20);
/// How often it is asked whether it is there while nothing else is asked of it, and for how long.
const WATCH: Duration = Duration::from_secs(5);

/// The work at hand is not done, because the process is stopping or the other side is away, and
/// is not to blame for it. It stays with the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("given back before it was done")]
pub struct Unfinished;

#[derive(Clone)]
pub(crate) struct Database {
    /// Of the service whose it is.
    pub(crate) name: &'static str,
    pub(crate) pool: PgPool,
    /// For transactions that handle messages.
    pub(crate) lanes: Lanes,
    pub(crate) breaker: Breaker,
    shutdown: Shutdown,
    part: Option<Part>,
}

impl Database {
    pub(crate) fn new(
        name: &'static str,
        pool: PgPool,
        lanes: Lanes,
        shutdown: Shutdown,
        part: Option<Part>,
    ) -> Self {
        let policy = BreakerPolicy {
            failures: 2,
            open_first: Duration::from_millis(500),
            open_max: Duration::from_secs(5),
        };
        Database { name, pool, lanes, breaker: Breaker::new("database", policy), shutdown, part }
    }

    /// Does `work`, a transaction, until the database has had its say. A transaction that was
    /// unlucky is done again, `tries` times in all.
    pub(crate) async fn work<T, W>(
        &self,
        tries: u32,
        work: impl Fn() -> W,
    ) -> Result<Result<T, Fault>, Unfinished>
    where
        W: Future<Output = Result<T, Fault>>,
    {
        let mut away = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        let mut unlucky = Backoff::new(Duration::from_millis(20), Duration::from_millis(500));
        let mut tried = 0;
        loop {
            let is_away = |fault: &Fault| fault.nature() == Nature::Infrastructure;
            let fault = match self.breaker.call(LIMIT, is_away, work()).await {
                Ok(value) => {
                    self.up();
                    return Ok(Ok(value));
                }
                Err(Broken::Open) => {
                    self.unless_stopped(self.breaker.admitted()).await?;
                    continue;
                }
                Err(Broken::TimedOut) => {
                    Fault::transient(format!("the transaction took longer than {LIMIT:?}"))
                }
                Err(Broken::Failed(fault)) => fault,
            };
            match fault.nature() {
                Nature::Infrastructure => {
                    tracing::warn!(error = fault.chain(), "database away: waiting for it");
                    self.down();
                    self.unless_stopped(away.wait()).await?;
                }
                Nature::Retriable if tried + 1 < tries => {
                    tried += 1;
                    tracing::debug!(error = fault.chain(), tried, "transaction is done again");
                    self.unless_stopped(unlucky.wait()).await?;
                }
                _ => return Ok(Err(fault)),
            }
        }
    }

    /// Keeps the health true while no message comes, until a stop begins.
    pub(crate) async fn watch(self) {
        loop {
            let asked = sqlx::query("SELECT 1").execute(&self.pool);
            match tokio::time::timeout(WATCH, asked).await {
                Ok(Ok(_)) => self.up(),
                Ok(Err(_)) | Err(_) => self.down(),
            }
            if self.unless_stopped(tokio::time::sleep(WATCH)).await.is_err() {
                return;
            }
        }
    }

    /// Waits, but not beyond the beginning of a stop.
    pub(crate) async fn unless_stopped<T>(
        &self,
        wait: impl Future<Output = T>,
    ) -> Result<T, Unfinished> {
        tokio::select! {
            value = wait => Ok(value),
            () = self.shutdown.begun() => Err(Unfinished),
        }
    }

    pub(crate) fn up(&self) {
        if let Some(part) = &self.part {
            part.up();
        }
    }

    fn down(&self) {
        if let Some(part) = &self.part {
            part.down("the database does not answer");
        }
    }
}
