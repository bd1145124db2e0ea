use crate::shop::{Shop, Taken, bench, database, saga};
use contracts::EventEnvelope;
use sqlx::PgPool;
use std::sync::atomic::Ordering::SeqCst;
use worker::{Worker, testing::Bench};

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

fn of_things(things: &[&str]) -> Result<Vec<EventEnvelope>, serde_json::Error> {
    let taken = |thing: &&str| Taken { thing: (*thing).to_owned() };
    things.iter().map(|thing| EventEnvelope::of(saga(), &taken(thing))).collect()
}

#[tokio::test]
async fn events_at_one_go_are_each_taken_in_once_also_when_one_is_there_twice() -> anyhow::Result<()>
{
    let database = database(5).await?;
    let worker = Worker::new("shop", Shop::default()).on_many::<Taken>();
    let bench = Bench::of(worker, database.pool().clone());
    let mut events = of_things(&["teapot"; 3])?;
    events.push(events[0].clone());
    for expected in [[true, true, true, false], [false; 4]] {
        let heard = bench.tell_all(&events).await?;
        assert_eq!(heard.into_iter().collect::<Result<Vec<_>, _>>()?, expected);
        assert_eq!(told(database.pool()).await?, 3);
    }
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_taken_in_at_one_go_leaves_nothing_and_is_taken_in_one_by_one()
-> anyhow::Result<()> {
    let database = database(5).await?;
    let worker = Worker::new("shop", Shop::default()).on_many::<Taken>();
    let bench = Bench::of(worker, database.pool().clone());
    let heard = bench.tell_all(&of_things(&["teapot", "spoon", "teapot"])?).await?;
    assert_eq!(heard.into_iter().collect::<Result<Vec<_>, _>>()?, [true; 3]);
    assert_eq!(told(database.pool()).await?, 2, "nobody has a shelf of spoons");
    bench.service.flaky.store(1, SeqCst);
    let heard = bench.tell_all(&of_things(&["spoon", "teapot"])?).await?;
    let faults: Vec<bool> = heard.iter().map(Result::is_err).collect();
    assert_eq!(faults, [true, false]);
    assert_eq!(told(database.pool()).await?, 3);
    Ok(())
}
