//! A database as it was at one moment.

use super::{error::Error, invariant::Need, sources::Sources};
use futures_util::TryStreamExt as _;
use sqlx::{
    Connection, FromRow, PgConnection, Postgres,
    postgres::{PgArguments, PgRow},
    query::QueryAs,
};
use std::{future::Future, time::Duration};
use time::OffsetDateTime;
use tokio::time::timeout;
use uuid::Uuid;

/// To be let in.
const CONNECT: Duration = Duration::from_secs(10);
/// For one answer; the server gives up before.
const ANSWER: Duration = Duration::from_secs(60);

/// What a row is read as.
pub(crate) trait Row: for<'r> FromRow<'r, PgRow> + Send + Unpin {}

impl<T: for<'r> FromRow<'r, PgRow> + Send + Unpin> Row for T {}

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

    /// Rows of the ids from `$1` to `$2`.
    pub async fn range<T: Row>(
        &mut self,
        sql: &'static str,
        from: Uuid,
        to: Uuid,
    ) -> Result<Vec<T>, Error> {
        self.rows(sqlx::query_as(sql).bind(from).bind(to)).await
    }

    /// Rows of the ids from `$1` to `$2`, as old as `$3` or younger.
    pub async fn range_since<T: Row>(
        &mut self,
        sql: &'static str,
        from: Uuid,
        to: Uuid,
        since: Option<OffsetDateTime>,
    ) -> Result<Vec<T>, Error> {
        self.rows(sqlx::query_as(sql).bind(from).bind(to).bind(since)).await
    }

    /// Rows of the ids in `$1`.
    pub async fn among<T: Row>(
        &mut self,
        sql: &'static str,
        ids: &[Uuid],
    ) -> Result<Vec<T>, Error> {
        self.rows(sqlx::query_as(sql).bind(ids)).await
    }

    /// Few rows, or one after the other through `each`.
    pub async fn each<T: Row>(
        &mut self,
        sql: &'static str,
        mut each: impl FnMut(T),
    ) -> Result<(), Error> {
        let need = self.need;
        let reading = async {
            let mut rows = sqlx::query_as(sql).fetch(&mut self.connection);
            while let Some(row) = rows.try_next().await? {
                each(row);
            }
            Ok(())
        };
        in_time(need, reading).await?.map_err(|error| Error::Database(need, error))
    }

    async fn rows<T: Row>(
        &mut self,
        query: QueryAs<'_, Postgres, T, PgArguments>,
    ) -> Result<Vec<T>, Error> {
        let need = self.need;
        let rows = in_time(need, query.fetch_all(&mut self.connection)).await?;
        rows.map_err(|error| Error::Database(need, error))
    }

    async fn statement(&mut self, sql: &'static str) -> Result<(), Error> {
        let need = self.need;
        let done = in_time(need, sqlx::query(sql).execute(&mut self.connection)).await?;
        done.map(drop).map_err(|error| Error::Database(need, error))
    }
}

/// With the limit on everything that is asked.
async fn in_time<T>(need: Need, asked: impl Future<Output = T>) -> Result<T, Error> {
    timeout(ANSWER, asked).await.map_err(|_| Error::TooLate(need, ANSWER))
}
