use crate::shop::{Mood, STEP, bench, give_back, inbox_rows, left, saga, take};
use contracts::{
    Leg,
    Outcome::{Done, Refused},
};
use sqlx::Connection;
use std::{sync::atomic::Ordering::SeqCst, time::Duration};
use store::inbox::{self, Claim, Key};
use testkit::{PATIENCE, eventually};

#[tokio::test]
async fn a_duplicate_gets_the_stored_reply_and_events_without_another_call() -> anyhow::Result<()> {
    let (database, bench) = bench(5).await?;
    let saga = saga();
    let first = bench.act(saga, STEP, &take(Mood::Fine)).await?;
    let second = bench.act(saga, STEP, &take(Mood::Fine)).await?;
    assert_eq!((first.outcome, second.outcome), (Done, Done));
    assert_eq!((first.duplicate, second.duplicate), (false, true));
    assert_eq!(first.body, "\"4 left\"");
    assert_eq!(first.body, second.body);
    assert_eq!(first.events.len(), 1);
    assert_eq!(first.events, second.events);
    assert_eq!(bench.service.calls.load(SeqCst), 1);
    assert_eq!(left(database.pool()).await?, 4);
    Ok(())
}

#[tokio::test]
async fn a_refusal_leaves_no_effect_and_is_remembered() -> anyhow::Result<()> {
    let (database, bench) = bench(5).await?;
    let saga = saga();
    for duplicate in [false, true] {
        let answered = bench.act(saga, STEP, &take(Mood::RefuseAfterWriting)).await?;
        assert_eq!((answered.outcome, answered.duplicate), (Refused, duplicate));
        assert_eq!(answered.body, "\"changed my mind\"");
        assert!(answered.events.is_empty());
    }
    assert_eq!(bench.service.calls.load(SeqCst), 1);
    assert_eq!(left(database.pool()).await?, 5);
    Ok(())
}

#[tokio::test]
async fn an_action_that_was_announced_and_undone_does_nothing_when_it_comes() -> anyhow::Result<()>
{
    let (database, bench) = bench(5).await?;
    let saga = saga();
    let key = Key { saga, step: STEP.to_owned(), leg: Leg::Action };
    let mut connection = database.pool().acquire().await?;
    inbox::claim(&mut connection, &[Claim { key, tombstone: false }]).await?;
    drop(connection);
    let undone = bench.undo(saga, STEP, &give_back()).await?;
    assert_eq!(undone.outcome, Done);
    let late = bench.act(saga, STEP, &take(Mood::Fine)).await?;
    assert_eq!(late.outcome, Refused);
    assert_eq!(bench.service.calls.load(SeqCst), 1, "only the undo was called");
    Ok(())
}

#[tokio::test]
async fn a_fault_leaves_no_row_and_the_command_runs_when_it_is_sent_again() -> anyhow::Result<()> {
    let (database, bench) = bench(5).await?;
    let saga = saga();
    bench.service.flaky.store(1, SeqCst);
    let fault = bench.act(saga, STEP, &take(Mood::Fine)).await.unwrap_err();
    assert!(fault.is_transient());
    assert_eq!((left(database.pool()).await?, inbox_rows(database.pool()).await?), (5, 0));
    let again = bench.act(saga, STEP, &take(Mood::Fine)).await?;
    assert_eq!((again.outcome, again.duplicate), (Done, false));
    assert_eq!(left(database.pool()).await?, 4);
    Ok(())
}

#[tokio::test]
async fn a_handler_that_panics_or_swallows_a_database_error_faults_alone() -> anyhow::Result<()> {
    let (database, bench) = bench(5).await?;
    let panicked = bench.act(saga(), STEP, &take(Mood::Panic)).await.unwrap_err();
    assert_eq!(panicked.chain(), "the handler panicked: a bug");
    assert!(!panicked.is_transient());
    bench.act(saga(), STEP, &take(Mood::Swallow)).await.unwrap_err();
    assert_eq!((left(database.pool()).await?, inbox_rows(database.pool()).await?), (5, 0));
    Ok(())
}

#[tokio::test]
async fn an_undo_that_comes_first_leaves_a_tombstone_and_the_late_action_is_refused()
-> anyhow::Result<()> {
    let (database, bench) = bench(5).await?;
    let saga = saga();
    assert_eq!(bench.undo(saga, STEP, &give_back()).await?.outcome, Done);
    let late = bench.act(saga, STEP, &take(Mood::Fine)).await?;
    assert_eq!(late.outcome, Refused);
    assert_eq!(bench.undo(saga, STEP, &give_back()).await?.outcome, Done);
    assert_eq!(bench.service.calls.load(SeqCst), 0, "neither had anything to do");
    assert_eq!(left(database.pool()).await?, 5);
    Ok(())
}

#[tokio::test]
async fn an_undo_undoes_once_however_often_it_comes() -> anyhow::Result<()> {
    let (database, bench) = bench(5).await?;
    let saga = saga();
    bench.act(saga, STEP, &take(Mood::Fine)).await?;
    for duplicate in [false, true] {
        let answered = bench.undo(saga, STEP, &give_back()).await?;
        assert_eq!((answered.outcome, answered.duplicate), (Done, duplicate));
    }
    assert_eq!(left(database.pool()).await?, 5);
    Ok(())
}

#[tokio::test]
async fn an_undo_of_a_refused_action_does_nothing() -> anyhow::Result<()> {
    let (database, bench) = bench(0).await?;
    let saga = saga();
    assert_eq!(bench.act(saga, STEP, &take(Mood::Fine)).await?.outcome, Refused);
    assert_eq!(bench.undo(saga, STEP, &give_back()).await?.outcome, Done);
    assert_eq!(left(database.pool()).await?, 0);
    Ok(())
}

/// The action's transaction is another instance's, that has claimed, written and not committed.
#[tokio::test]
async fn an_undo_waits_for_an_uncommitted_action_and_then_undoes_it() -> anyhow::Result<()> {
    let (database, bench) = bench(5).await?;
    let saga = saga();
    let mut other = sqlx::PgConnection::connect(database.url()).await?;
    let mut action = other.begin().await?;
    sqlx::query("INSERT INTO inbox (saga_id, step, leg, kind, outcome) VALUES ($1, $2, 'action', 'answer', 'done')")
        .bind(saga.0)
        .bind(STEP)
        .execute(&mut *action)
        .await?;
    sqlx::query("UPDATE shelf SET left_over = left_over - 1").execute(&mut *action).await?;

    let undo = tokio::spawn(async move { bench.undo(saga, STEP, &give_back()).await });
    eventually(PATIENCE, "the undo waits for the action's row", async || {
        let waiting: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'INSERT INTO inbox%'",
        )
        .fetch_one(database.pool())
        .await?;
        anyhow::ensure!(waiting == 1, "{waiting} wait");
        Ok(())
    })
    .await?;
    assert!(!undo.is_finished());
    action.commit().await?;
    let answered = tokio::time::timeout(Duration::from_secs(30), undo).await???;
    assert_eq!(answered.outcome, Done);
    assert_eq!(left(database.pool()).await?, 5, "taken by the one, given back by the other");
    Ok(())
}
