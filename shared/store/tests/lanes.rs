//! Connections between one transaction and the next.

use anyhow::Result;
use sqlx::{Connection, PgConnection, postgres::PgPoolOptions};
use store::Lanes;
use testkit::{PATIENCE, ScratchDb};
use tokio::time::timeout;

async fn backend(connection: &mut PgConnection) -> Result<i32> {
    Ok(sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(connection).await?)
}

#[tokio::test]
async fn one_connection_serves_one_transaction_after_the_other() -> Result<()> {
    let database = ScratchDb::empty().await?;
    let lanes = Lanes::over(database.pool().clone());
    let mut lane = lanes.take().await?;
    let first = backend(&mut lane).await?;
    lane.keep();
    let mut lane = lanes.take().await?;
    assert_eq!(backend(&mut lane).await?, first);
    Ok(())
}

#[tokio::test]
async fn what_was_begun_and_not_kept_is_undone_before_anybody_else_has_the_connection() -> Result<()>
{
    let database = ScratchDb::empty().await?;
    let pool = PgPoolOptions::new().max_connections(1).connect_lazy(database.url())?;
    let lanes = Lanes::over(pool);
    let mut lane = lanes.take().await?;
    sqlx::query("CREATE TABLE note (text text)").execute(&mut *lane).await?;
    let mut transaction = lane.begin().await?;
    sqlx::query("INSERT INTO note VALUES ('half')").execute(&mut *transaction).await?;
    drop(transaction);
    drop(lane);
    let mut lane = lanes.take().await?;
    let notes = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM note");
    assert_eq!(notes.fetch_one(&mut *lane).await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_connection_of_the_pool_is_left_to_others_and_closing_waits_for_none_that_is_kept()
-> Result<()> {
    let database = ScratchDb::empty().await?;
    let pool = PgPoolOptions::new().max_connections(2).connect_lazy(database.url())?;
    let lanes = Lanes::over(pool.clone());
    let (one, other) = (lanes.take().await?, lanes.take().await?);
    one.keep();
    other.keep();
    timeout(PATIENCE, backend(&mut *pool.acquire().await?)).await??;
    timeout(PATIENCE, lanes.close()).await?;
    Ok(())
}
