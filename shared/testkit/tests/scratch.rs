//! What a test gets for itself, on the real RabbitMQ and PostgreSQL.

use anyhow::Result;
use sqlx::{Connection, PgConnection, migrate::Migrator};
use std::{borrow::Cow, path::Path};
use testkit::{Instances, ScratchDb, ScratchVhost};

async fn migrations(folder: &str) -> Result<Migrator> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations").join(folder);
    Ok(Migrator::new(folder).await?)
}

async fn databases_named(name: &str) -> Result<i64> {
    let instances = Instances::shared()?;
    let mut admin = PgConnection::connect(instances.database.as_str()).await?;
    let count = sqlx::query_scalar("SELECT count(*) FROM pg_database WHERE datname = $1")
        .bind(name)
        .fetch_one(&mut admin)
        .await?;
    Ok(count)
}

#[tokio::test]
async fn a_service_reads_and_writes_rows_and_can_change_no_table() -> Result<()> {
    let database = ScratchDb::of("inventory", &migrations("inventory").await?).await?;
    let pool = database.pool();
    sqlx::query("UPDATE product SET free = free, name = 'x'").execute(pool).await?;
    let denied = sqlx::query("CREATE TABLE mine ()").execute(pool).await.unwrap_err();
    let code = denied.as_database_error().and_then(|error| error.code());
    assert_eq!(code, Some(Cow::Borrowed("42501")));
    sqlx::query("DROP TABLE hold").execute(pool).await.unwrap_err();
    Ok(())
}

#[tokio::test]
async fn two_databases_of_one_service_do_not_see_each_other() -> Result<()> {
    let migrations = migrations("inventory").await?;
    let (one, other) = tokio::try_join!(
        ScratchDb::of("inventory", &migrations),
        ScratchDb::of("inventory", &migrations)
    )?;
    sqlx::query("DELETE FROM product").execute(one.pool()).await?;
    let left: i64 =
        sqlx::query_scalar("SELECT count(*) FROM product").fetch_one(other.pool()).await?;
    assert!(left > 0);
    Ok(())
}

#[tokio::test]
async fn a_database_is_gone_with_its_test() -> Result<()> {
    let database = ScratchDb::empty().await?;
    sqlx::query("CREATE TABLE mine ()").execute(database.pool()).await?;
    let name = database.name().to_owned();
    assert_eq!(databases_named(&name).await?, 1);
    drop(database);
    assert_eq!(databases_named(&name).await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_virtual_host_is_gone_with_its_test() -> Result<()> {
    let vhost = ScratchVhost::create().await?;
    vhost.queues().await?;
    let url = vhost.url().to_owned();
    let connect =
        async || lapin::Connection::connect(&url, lapin::ConnectionProperties::default()).await;
    connect().await?;
    drop(vhost);
    connect().await.unwrap_err();
    Ok(())
}
