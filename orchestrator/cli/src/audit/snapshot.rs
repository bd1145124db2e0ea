//! A database as it was at one moment.

use super::{error::Error, invariant::Need, sources::Sources};
use sqlx::{Connection, PgConnection};
use std::{future::Future, time::Duration};
use tokio::time::timeout;

/// To be let in.
const CONNECT: Duration = Duration::from_secs(10);
/// For one answer; the server gives up before.
const ANSWER: Duration = Duration::from_secs(60);

/// One connection in one transaction that reads and cannot write. All that it is asked, it answers
/// as of the moment in which it was opened.
pub(crate) struct Snapshot {
    need: Need,
    connection: PgConnection,
}

impl Snapshot {
    /// `None` when the service's database is not given.
    pub async fn open(sources: &Sources, service: &'static str) -> Result<Option<Self>, Error> {
        let Some(mut snapshot) = Self::connect(sources, service).await? else { return Ok(None) };
        // The moment is that of the first query, not that of BEGIN.
        snapshot.statement("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        snapshot.statement("SELECT pg_current_snapshot()").await?;
        Ok(Some(snapshot))
    }

    /// A connection that always sees what is there now.
    pub async fn of_now(sources: &Sources, service: &'static str) -> Result<Option<Self>, Error> {
        Self::connect(sources, service).await
    }

    async fn connect(sources: &Sources, service: &'static str) -> Result<Option<Self>, Error> {
        let need = Need::Database(service);
        let Some(url) = sources.databases.get(service) else { return Ok(None) };
        let options = store::options(url, "sagactl audit")
            .map_err(|_| Error::Url(format!("AUDIT_{}_URL", service.to_uppercase())))?
            .options([("statement_timeout", "55s"), ("default_transaction_read_only", "on")]);
        match timeout(CONNECT, PgConnection::connect_with(&options)).await {
            Ok(Ok(connection)) => Ok(Some(Snapshot { need, connection })),
            Ok(Err(error)) => Err(Error::Database(need, error)),
            Err(_) => Err(Error::TooLate(need, CONNECT)),
        }
    }

    async fn statement(&mut self, sql: &'static str) -> Result<(), Error> {
        self.ask(async |connection| sqlx::query(sql).execute(connection).await.map(drop)).await
    }

    /// Runs a query, with a limit on its time.
    pub async fn ask<'a, T, F>(&'a mut self, query: F) -> Result<T, Error>
    where
        F: AsyncFnOnce(&'a mut PgConnection) -> sqlx::Result<T>,
    {
        let need = self.need;
        in_time(need, query(&mut self.connection)).await?.map_err(|error| Error::Database(need, error))
    }
}

/// With the limit on everything that is asked.
pub(crate) async fn in_time<T>(need: Need, asked: impl Future<Output = T>) -> Result<T, Error> {
    timeout(ANSWER, asked).await.map_err(|_| Error::TooLate(need, ANSWER))
}
