//! Limits on how long the database is waited for.

use std::{future::Future, io::ErrorKind, time::Duration};
use tokio::time::timeout;

/// Well beyond what statements are allowed together with the server.
const LOOK: Duration = Duration::from_secs(10);

/// A database that neither answers nor hangs up is away.
pub async fn within<T, E: From<sqlx::Error>>(
    limit: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let away = || Err(sqlx::Error::Io(ErrorKind::TimedOut.into()).into());
    timeout(limit, work).await.unwrap_or_else(|_| away())
}

/// For whatever asks from time to time. Without a limit of its own such a look lasts for as long as
/// TCP has patience, and holds its place in the pool.
pub async fn in_time<T, E: From<sqlx::Error>>(
    look: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    within(LOOK, look).await
}
