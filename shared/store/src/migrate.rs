//! Migrations are applied by a subcommand with the owner's role, never by a service that starts;
//! a service only looks whether its database is what it was built for.

use crate::pool;
use runtime::{config::Redacted, health::Part, resilience::Backoff, shutdown::Shutdown};
use sqlx::{Connection, PgPool, Row, migrate::Migrator, postgres::PgConnection};
use std::{collections::HashMap, time::Duration};

/// Long enough for a large table, short enough for a pipeline to notice.
const RUN: Duration = Duration::from_secs(600);
const CONNECT: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Url(#[from] pool::Error),
    #[error("the database could not be reached")]
    Connect(#[source] sqlx::Error),
    #[error("the database did not answer in time")]
    TimedOut,
    #[error("a migration failed")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    #[error("the applied migrations could not be read")]
    Read(#[source] sqlx::Error),
    #[error("migration {version} ({description}) is pending: run the migrate subcommand")]
    Pending { version: i64, description: String },
    #[error("migration {version} was applied from another text than the one in this build")]
    Changed { version: i64 },
    #[error("migration {version} began and did not succeed")]
    Failed { version: i64 },
}

impl Error {
    /// The database could not be asked; it may be in order.
    pub fn is_infrastructure(&self) -> bool {
        match self {
            Error::TimedOut | Error::Connect(_) => true,
            Error::Read(error) => crate::is_infrastructure(error),
            _ => false,
        }
    }
}

/// Applies what is missing. Several at once are safe: they wait for each other.
pub async fn run(url: &Redacted, migrator: &Migrator) -> Result<(), Error> {
    let options = pool::options(url, "migrate")?;
    let mut connection = tokio::time::timeout(CONNECT, PgConnection::connect_with(&options))
        .await
        .map_err(|_| Error::TimedOut)?
        .map_err(Error::Connect)?;
    tokio::time::timeout(RUN, migrator.run(&mut connection))
        .await
        .map_err(|_| Error::TimedOut)??;
    Ok(())
}

/// Whether every migration of this build is applied, unchanged. Later ones, of a newer build
/// beside this one, are not its concern.
pub async fn verify(pool: &PgPool, migrator: &Migrator) -> Result<(), Error> {
    let applied = applied(pool).await?;
    for migration in migrator.iter().filter(|one| !one.migration_type.is_down_migration()) {
        let version = migration.version;
        match applied.get(&version) {
            None => {
                let description = migration.description.to_string();
                return Err(Error::Pending { version, description });
            }
            Some((false, _)) => return Err(Error::Failed { version }),
            Some((true, checksum)) if checksum[..] != migration.checksum[..] => {
                return Err(Error::Changed { version });
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Waits until [`verify`] finds nothing amiss, and says in `part` what it waits for. `false` when a
/// stop began before.
pub async fn in_order(
    pool: &PgPool,
    migrator: &Migrator,
    part: &Part,
    shutdown: &Shutdown,
) -> bool {
    let mut delays = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
    loop {
        match verify(pool, migrator).await {
            Ok(()) => {
                part.up();
                return true;
            }
            Err(error) if error.is_infrastructure() => {
                tracing::warn!(%error, "database away: waiting for it");
                part.down("the database does not answer");
            }
            Err(error) => {
                tracing::warn!(%error, "migrations are not in order: waiting for them");
                part.down(error.to_string());
            }
        }
        tokio::select! {
            () = delays.wait() => {}
            () = shutdown.begun() => return false,
        }
    }
}

async fn applied(pool: &PgPool) -> Result<HashMap<i64, (bool, Vec<u8>)>, Error> {
    let rows = sqlx::query("SELECT version, success, checksum FROM _sqlx_migrations")
        .fetch_all(pool)
        .await;
    let rows = match rows {
        Ok(rows) => rows,
        Err(error) if is_undefined_table(&error) => Vec::new(),
        Err(error) => return Err(Error::Read(error)),
    };
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, (row.try_get(1)?, row.try_get(2)?))))
        .collect::<Result<_, sqlx::Error>>()
        .map_err(Error::Read)
}

fn is_undefined_table(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "42P01")
}
