use crate::shop::{Taken, bench, saga};
use sqlx::PgPool;
use std::sync::atomic::Ordering::SeqCst;

async fn told(pool: &PgPool) -> anyhow::Result<i32> {
    Ok(sqlx::query_scalar("SELECT told FROM shelf").fetch_one(pool).await?)
}

fn taken() -> Taken {
    Taken { thing: "teapot".to_owned() }
}

#[tokio::test]
async fn an_event_told_twice_is_taken_in_once() -> anyhow::Result<()> {
    let (database, bench) = bench(5).await?;
    let saga = saga();
    assert!(bench.tell(saga, &taken()).await?);
    assert!(!bench.tell(saga, &taken()).await?);
    assert_eq!(told(database.pool()).await?, 1);
    Ok(())
}

#[tokio::test]
async fn an_event_whose_handler_faulted_is_taken_in_the_next_time() -> anyhow::Result<()> {
    let (database, bench) = bench(5).await?;
    let saga = saga();
    bench.service.flaky.store(1, SeqCst);
    bench.tell(saga, &taken()).await.unwrap_err();
    assert_eq!(told(database.pool()).await?, 0);
    assert!(bench.tell(saga, &taken()).await?);
    assert_eq!(told(database.pool()).await?, 1);
    Ok(())
}
