use crate::{
    shop::saga,
    till::{Authorise, FORGOTTEN, Gate, STEP, Till, Void, bench, recorded},
};
use contracts::{
    Outcome::{Done, Refused},
    SagaId,
};
use futures_util::future::join_all;
use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering::SeqCst},
};
use testkit::{PATIENCE, eventually};
use uuid::Uuid;
use worker::testing::Bench;

const TEN: Authorise = Authorise { amount: 10 };

async fn waits_at(gate: &Gate) -> anyhow::Result<()> {
    eventually(PATIENCE, "an authorisation halts at the gate", async || {
        anyhow::ensure!(gate.waiting.load(SeqCst) > 0);
        Ok(())
    })
    .await
}

fn authorise(
    bench: &Arc<Bench<Till>>,
    saga: SagaId,
) -> tokio::task::JoinHandle<Result<worker::Answered, worker::Fault>> {
    let bench = Arc::clone(bench);
    tokio::spawn(async move { bench.act(saga, STEP, &TEN).await })
}

#[tokio::test]
async fn a_call_is_made_once_recorded_and_undone() -> anyhow::Result<()> {
    let (database, bench) = bench().await?;
    let saga = saga();
    for duplicate in [false, true] {
        let answered = bench.act(saga, STEP, &TEN).await?;
        assert_eq!((answered.outcome, answered.duplicate), (Done, duplicate));
    }
    assert_eq!(bench.service.gateway.keys.lock().unwrap().len(), 1);
    assert_eq!((bench.service.gateway.set_aside(), recorded(database.pool()).await?), (10, 1));
    for duplicate in [false, true] {
        let answered = bench.undo(saga, STEP, &Void {}).await?;
        assert_eq!((answered.outcome, answered.duplicate), (Done, duplicate));
    }
    assert_eq!((bench.service.gateway.set_aside(), recorded(database.pool()).await?), (0, 0));
    Ok(())
}

#[tokio::test]
async fn a_refusal_before_the_call_writes_nothing_and_one_after_it_keeps_what_was_noted()
-> anyhow::Result<()> {
    let (database, bench) = bench().await?;
    for (amount, calls, noted) in [(0, 0, 0), (13, 1, 1)] {
        let saga = saga();
        for duplicate in [false, true] {
            let answered = bench.act(saga, STEP, &Authorise { amount }).await?;
            assert_eq!((answered.outcome, answered.duplicate), (Refused, duplicate));
        }
        assert_eq!(bench.service.gateway.keys.lock().unwrap().len(), calls);
        assert_eq!(recorded(database.pool()).await?, noted);
    }
    Ok(())
}

#[tokio::test]
async fn a_failed_call_is_made_again_with_the_same_key_and_intent() -> anyhow::Result<()> {
    let (_database, bench) = bench().await?;
    let saga = saga();
    // Two calls, and three probes of the circuit that they open.
    bench.service.gateway.forgetful.store(5, SeqCst);
    let fault = bench.act(saga, STEP, &TEN).await.unwrap_err();
    assert!(fault.is_transient());
    let answered = bench.act(saga, STEP, &TEN).await?;
    assert_eq!((answered.outcome, answered.duplicate), (Done, false));
    let keys = bench.service.gateway.keys.lock().unwrap().clone();
    assert_eq!(keys, vec![format!("{saga}/{STEP}/action"); 6]);
    assert_eq!(bench.service.prepared.load(SeqCst), 1, "the intent was committed");
    assert_eq!(bench.service.gateway.set_aside(), 10);
    Ok(())
}

#[tokio::test]
async fn while_the_breaker_is_open_a_command_waits_and_spends_nothing() -> anyhow::Result<()> {
    let (_database, bench) = bench().await?;
    // Two calls open the circuit, and the first probes find nobody either.
    bench.service.gateway.failing.store(4, SeqCst);
    assert_eq!(bench.act(saga(), STEP, &TEN).await?.outcome, Done);
    assert_eq!(bench.service.gateway.keys.lock().unwrap().len(), 5);
    Ok(())
}

/// The process dies when the gateway has authorised and nothing of it is recorded.
#[tokio::test]
async fn killed_between_call_and_record_and_then_compensated_no_money_stays_authorised()
-> anyhow::Result<()> {
    let (database, bench) = bench().await?;
    let (bench, saga) = (Arc::new(bench), saga());
    bench.service.gateway.after.shut();
    let action = authorise(&bench, saga);
    waits_at(&bench.service.gateway.after).await?;
    action.abort();
    let _ = action.await;
    assert_eq!(bench.service.gateway.set_aside(), 10);
    assert_eq!(bench.undo(saga, STEP, &Void {}).await?.outcome, Done);
    assert_eq!((bench.service.gateway.set_aside(), recorded(database.pool()).await?), (0, 0));
    // The action comes again, as a redelivery would.
    assert_eq!(bench.act(saga, STEP, &TEN).await?.outcome, Refused);
    assert_eq!((bench.service.gateway.set_aside(), recorded(database.pool()).await?), (0, 0));
    Ok(())
}

/// The compensation overtakes the action at either side of its effect.
#[tokio::test]
async fn a_result_that_comes_after_the_compensation_is_not_recorded() -> anyhow::Result<()> {
    let gates: [fn(&Till) -> &Gate; 2] = [|till| &till.gateway.before, |till| &till.gateway.after];
    for gate in gates {
        let (database, bench) = bench().await?;
        let (bench, saga) = (Arc::new(bench), saga());
        gate(&bench.service).shut();
        let action = authorise(&bench, saga);
        waits_at(gate(&bench.service)).await?;
        assert_eq!(bench.undo(saga, STEP, &Void {}).await?.outcome, Done);
        gate(&bench.service).open();
        assert_eq!(action.await??.outcome, Refused);
        assert_eq!((bench.service.gateway.set_aside(), recorded(database.pool()).await?), (0, 0));
    }
    Ok(())
}

#[tokio::test]
async fn a_compensation_whose_call_failed_goes_on_from_there() -> anyhow::Result<()> {
    let (database, bench) = bench().await?;
    let saga = saga();
    bench.act(saga, STEP, &TEN).await?;
    bench.service.gateway.failing.store(5, SeqCst);
    bench.undo(saga, STEP, &Void {}).await.unwrap_err();
    assert_eq!(bench.service.gateway.set_aside(), 10);
    assert_eq!(bench.undo(saga, STEP, &Void {}).await?.outcome, Done);
    assert_eq!((bench.service.gateway.set_aside(), recorded(database.pool()).await?), (0, 0));
    Ok(())
}

#[tokio::test]
async fn a_compensation_without_an_action_calls_nobody_and_bars_the_action() -> anyhow::Result<()> {
    let (_database, bench) = bench().await?;
    let saga = saga();
    assert_eq!(bench.undo(saga, STEP, &Void {}).await?.outcome, Done);
    assert_eq!(bench.act(saga, STEP, &TEN).await?.outcome, Refused);
    assert!(bench.service.gateway.keys.lock().unwrap().is_empty());
    Ok(())
}

#[tokio::test]
async fn what_is_asked_at_one_time_shares_its_transactions() -> anyhow::Result<()> {
    let (database, bench) = bench().await?;
    let answers = join_all((0..40).map(|_| bench.act(saga(), STEP, &TEN))).await;
    for answer in answers {
        assert_eq!(answer?.outcome, Done);
    }
    assert_eq!((bench.service.gateway.set_aside(), recorded(database.pool()).await?), (400, 40));
    // The first comes alone; what the others want meanwhile is done at one go, and so on.
    let commits: i64 = sqlx::query_scalar("SELECT count(DISTINCT xmin::text) FROM inbox")
        .fetch_one(database.pool())
        .await?;
    assert!(commits <= 10, "{commits} transactions have recorded 40 results");
    Ok(())
}

#[tokio::test]
async fn those_of_one_kind_that_share_a_transaction_are_prepared_and_recorded_at_one_go()
-> anyhow::Result<()> {
    let (database, bench) = bench().await?;
    let amounts: Vec<_> = (20..60).map(|i| if i % 3 == 0 { 13 } else { i }).collect();
    let commands: Vec<_> = amounts.iter().map(|amount| Authorise { amount: *amount }).collect();
    let sagas: Vec<_> = amounts.iter().map(|_| saga()).collect();
    for duplicate in [false, true] {
        let asked = sagas.iter().zip(&commands).map(|(saga, it)| bench.act(*saga, STEP, it));
        for (answer, amount) in join_all(asked).await.into_iter().zip(&amounts) {
            let answer = answer?;
            let outcome = if *amount == 13 { Refused } else { Done };
            assert_eq!((answer.outcome, answer.duplicate), (outcome, duplicate));
        }
        assert_eq!(bench.service.gateway.keys.lock().unwrap().len(), 40);
        let booked: Vec<(Uuid, i64)> =
            sqlx::query_as("SELECT * FROM payment").fetch_all(database.pool()).await?;
        let asked: BTreeMap<_, _> = sagas.iter().map(|it| it.0).zip(amounts.clone()).collect();
        assert_eq!(BTreeMap::from_iter(booked), asked);
    }
    // Some come alone, as the first one does.
    for phase in &bench.service.at_one_go {
        let served = phase.load(SeqCst);
        assert!((20..=40).contains(&served), "{served} of 40");
    }
    Ok(())
}

#[tokio::test]
async fn each_of_those_that_share_a_transaction_fares_as_if_it_were_alone() -> anyhow::Result<()> {
    let (database, bench) = bench().await?;
    let amounts = [10, 0, 13, FORGOTTEN, 10, 0, 13, FORGOTTEN, 10];
    let commands = amounts.map(|amount| Authorise { amount });
    let sagas = amounts.map(|_| saga());
    for round in 0..2 {
        let asked = sagas.iter().zip(&commands).map(|(saga, it)| bench.act(*saga, STEP, it));
        for (answer, amount) in join_all(asked).await.into_iter().zip(amounts) {
            let answer = answer.ok().map(|it| (it.outcome, it.duplicate));
            let expected = match amount {
                0 | 13 => Some((Refused, round > 0)),
                FORGOTTEN => None,
                _ => Some((Done, round > 0)),
            };
            assert_eq!(answer, expected, "{amount} in round {round}");
        }
        // What was noted with a no stays; what faulted left nothing but its intent.
        assert_eq!(recorded(database.pool()).await?, 5);
    }
    Ok(())
}

#[tokio::test]
async fn an_action_and_its_compensation_at_one_time_leave_no_money_set_aside() -> anyhow::Result<()>
{
    let (database, bench) = bench().await?;
    let sagas: Vec<_> = (0..20).map(|_| saga()).collect();
    let acts = join_all(sagas.iter().map(|saga| bench.act(*saga, STEP, &TEN)));
    let undos = join_all(sagas.iter().map(|saga| bench.undo(*saga, STEP, &Void {})));
    let (acts, undos) = tokio::join!(acts, undos);
    assert!(acts.into_iter().all(|it| it.is_ok()));
    assert!(undos.into_iter().all(|it| it.is_ok_and(|it| it.outcome == Done)));
    assert_eq!((bench.service.gateway.set_aside(), recorded(database.pool()).await?), (0, 0));
    Ok(())
}
