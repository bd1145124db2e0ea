//! The engine on a real journal, without a broker: what a batch stores, and what it wants sent.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod journal;
mod operator;

use anyhow::Result;
use contracts::{CommandEnvelope, Leg, Outcome, StartEnvelope};
use journal::{ask, done, fresh, journal, patient, reply, start};
use orchestrator::{
    engine::{Advanced, Occurrence, Verdict},
    journal::due,
    operator::Wanted,
    replay,
};
use saga_core::Ignored;
use serde_json::json;
use std::time::Duration;
use testkit::{PATIENCE, eventually};
use tokio::task::JoinSet;

#[tokio::test]
async fn a_start_asks_for_the_first_step_and_a_second_start_asks_for_it_again() -> Result<()> {
    let journal = journal().await?;
    let saga = fresh();
    let command = journal.begin(saga).await?;
    assert_eq!((command.kind.as_str(), command.attempt), ("order.open", 1));
    let again = journal.engine.advance(&[start(saga)]).await?;
    assert!(matches!(again.verdicts[..], [Verdict::AlreadyStarted]));
    assert_eq!(again.commands, [command]);
    assert_eq!(journal.row(saga).await?.revision, 1);
    Ok(())
}

#[tokio::test]
async fn a_saga_goes_to_its_end_and_its_history_tells_how() -> Result<()> {
    let journal = journal().await?;
    let saga = fresh();
    let mut command = journal.begin(saga).await?;
    let mut kinds = vec![command.kind.clone()];
    while command.kind != "notification.notify-customer" {
        command = journal.one(done(&command)).await?;
        kinds.push(command.kind.clone());
    }
    assert_eq!(
        kinds,
        [
            "order.open",
            "inventory.reserve-stock",
            "payment.authorise",
            "shipping.book",
            "payment.capture",
            "order.confirm",
            "notification.notify-customer"
        ]
    );
    assert!(String::from_utf8(command.body.clone())?.contains("track_1"), "learnt on the way");
    let last = journal.engine.advance(&[done(&command)]).await?;
    assert!(last.commands.is_empty());
    let row = journal.row(saga).await?;
    assert_eq!((row.state.as_str(), row.revision, row.wake_at), ("completed", 8, None));
    let lines = replay::history(&journal.engine.pool, saga.0).await?;
    let record = row.record(&journal.engine.catalogue)?;
    let (told, _) = replay::tell(record.definition.plan(), lines);
    assert_eq!(told.len(), 8);
    assert_eq!(serde_json::to_value(&told[7].then)?, json!([{ "ended": "completed" }]));
    Ok(())
}

#[tokio::test]
async fn a_duplicate_reply_changes_nothing_and_one_that_was_handed_out_before_sends_what_is_waited_for()
-> Result<()> {
    let journal = journal().await?;
    let opened = journal.begin(fresh()).await?;
    let reserve = journal.one(done(&opened)).await?;
    let duplicate = done(&opened);
    let Occurrence::Reply(reply) = &duplicate else { anyhow::bail!("{duplicate:?}") };
    let handed_out = Occurrence::ReplyAgain(reply.clone());
    let expected: [(_, &[_]); 2] = [
        (&duplicate, &[]),
        // As a crash may have kept it from being sent.
        (&handed_out, std::slice::from_ref(&reserve)),
    ];
    for (again, sent) in expected {
        let again = journal.engine.advance(&[again.clone(), again.clone()]).await?;
        let mut verdicts = again.verdicts.iter();
        assert!(verdicts.all(|verdict| matches!(verdict, Verdict::Ignored(Ignored::Stale))));
        assert_eq!(again.commands, sent);
    }
    Ok(())
}

#[tokio::test]
async fn one_reply_to_many_orchestrators_moves_the_saga_once() -> Result<()> {
    let journal = journal().await?;
    let opened = journal.begin(fresh()).await?;
    let mut racing = JoinSet::new();
    for _ in 0..8 {
        let (engine, reply) = (journal.engine.clone(), done(&opened));
        racing.spawn(async move { engine.advance(&[reply]).await });
    }
    let mut moved = 0;
    while let Some(raced) = racing.join_next().await {
        let Advanced { verdicts, commands, .. } = raced??;
        moved += usize::from(matches!(verdicts[..], [Verdict::Moved]));
        assert!(commands.iter().all(|command| command.kind == "inventory.reserve-stock"));
    }
    assert_eq!(moved, 1);
    assert_eq!(journal.row(opened.saga).await?.revision, 2);
    Ok(())
}

#[tokio::test]
async fn a_batch_of_200_starts_and_200_replies_is_each_stored_whole() -> Result<()> {
    let journal = journal().await?;
    let starts: Vec<_> = (0..200).map(|_| start(fresh())).collect();
    let started = journal.engine.advance(&starts).await?;
    assert_eq!(started.commands.len(), 200);
    let replies: Vec<_> = started.commands.iter().map(done).collect();
    let moved = journal.engine.advance(&replies).await?;
    assert!(moved.verdicts.iter().all(|verdict| matches!(verdict, Verdict::Moved)));
    assert_eq!(moved.commands.len(), 200);
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_handled_is_told_apart_and_holds_up_nobody() -> Result<()> {
    let journal = journal().await?;
    let opened = journal.begin(fresh()).await?;
    let unknown = Occurrence::Start(StartEnvelope {
        saga: fresh(),
        definition: "make-tea".into(),
        traceparent: None,
        body: b"{}".to_vec(),
    });
    let misfit = Occurrence::Start(StartEnvelope {
        saga: fresh(),
        definition: "place-order".into(),
        traceparent: None,
        body: b"{}".to_vec(),
    });
    let stranger = CommandEnvelope { saga: fresh(), ..opened.clone() };
    let elsewhere = CommandEnvelope { step: "make-tea".into(), ..opened.clone() };
    let impostor = CommandEnvelope { kind: "payment.void".into(), ..opened.clone() };
    let undo = CommandEnvelope { leg: Leg::Compensation, ..opened.clone() };
    let batch = [
        unknown,
        misfit,
        done(&stranger),
        done(&elsewhere),
        done(&impostor),
        done(&undo),
        done(&opened),
    ];
    let Advanced { verdicts, commands, .. } = journal.engine.advance(&batch).await?;
    assert!(
        matches!(
            &verdicts[..],
            [
                Verdict::UnknownDefinition(_),
                Verdict::Misfit(_),
                Verdict::UnknownSaga,
                Verdict::Misfit(_),
                Verdict::Misfit(_),
                Verdict::Misfit(_),
                Verdict::Moved
            ]
        ),
        "{verdicts:?}"
    );
    assert_eq!(commands.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_value_that_no_column_holds_fails_alone() -> Result<()> {
    let journal = journal().await?;
    let bad = journal.begin(fresh()).await?;
    let good = journal.begin(fresh()).await?;
    let unstorable = reply(&bad, Outcome::Refused, json!({ "status": "\u{0}" }));
    let Advanced { verdicts, commands, .. } =
        journal.engine.advance(&[unstorable, done(&good)]).await?;
    assert!(matches!(verdicts[..], [Verdict::Unstorable(_), Verdict::Moved]), "{verdicts:?}");
    assert_eq!(commands.len(), 1);
    assert_eq!(journal.row(bad.saga).await?.revision, 1);
    Ok(())
}

#[tokio::test]
async fn a_saga_that_has_got_on_is_found_again_when_it_is_really_due() -> Result<()> {
    let journal = journal().await?;
    let saga = journal.begin(fresh()).await?.saga;
    let pool = &journal.engine.pool;
    let known = ["place-order/1".to_owned()];
    let look = "UPDATE saga SET look_at = now() - interval '1 s' WHERE id = $1";
    sqlx::query(look).bind(saga.0).execute(pool).await?;
    assert!(due(pool, &known, 1).await?.is_empty());
    let next: bool = sqlx::query_scalar("SELECT look_at = wake_at FROM saga WHERE id = $1")
        .bind(saga.0)
        .fetch_one(pool)
        .await?;
    assert!(next, "its next look is when it is due");
    let is_due = "UPDATE saga SET wake_at = now(), look_at = now() WHERE id = $1";
    sqlx::query(is_due).bind(saga.0).execute(pool).await?;
    assert_eq!(due(pool, &known, 1).await?, [saga.0]);
    Ok(())
}

#[tokio::test]
async fn a_saga_of_another_builds_definition_is_left_as_it_is() -> Result<()> {
    let journal = journal().await?;
    let (foreign, ours) = (journal.begin(fresh()).await?, journal.begin(fresh()).await?);
    let long_due = "UPDATE saga SET version = 99, wake_at = now() - interval '1 hour',
                           look_at = now() - interval '1 hour' WHERE id = $1";
    sqlx::query(long_due).bind(foreign.saga.0).execute(&journal.engine.pool).await?;
    let known = ["place-order/1".to_owned()];
    assert!(due(&journal.engine.pool, &known, 10).await?.is_empty());
    let Advanced { verdicts, .. } = journal.engine.advance(&[done(&foreign), done(&ours)]).await?;
    assert!(matches!(verdicts[..], [Verdict::UnknownDefinition(_), Verdict::Moved]));
    Ok(())
}

#[tokio::test]
async fn silence_is_asked_again_and_then_given_up_and_the_step_itself_undone() -> Result<()> {
    let journal = patient(Some(Duration::from_millis(1))).await?;
    let saga = fresh();
    journal.begin(saga).await?;
    let mut sent = Vec::new();
    eventually(PATIENCE, "the saga to be parked", async || {
        let woken = journal.engine.advance(&[Occurrence::Wake(saga)]).await?;
        sent.extend(woken.commands.into_iter().map(|command| (command.kind, command.attempt)));
        anyhow::ensure!(journal.row(saga).await?.parked.is_some(), "not yet");
        Ok(())
    })
    .await?;
    let told: Vec<_> = sent.iter().map(|(kind, attempt)| (kind.as_str(), *attempt)).collect();
    assert_eq!(told, [("order.open", 2), ("order.cancel", 1), ("order.cancel", 2)]);
    let row = journal.row(saga).await?;
    assert_eq!((row.state.as_str(), row.wake_at), ("compensating", None));
    let cause = row.cause.expect("a reason").0;
    assert_eq!(cause.text, "open-order was not answered in 2 attempts");

    let resumed = journal.one(ask(saga, Wanted::Resume)).await?;
    assert_eq!((resumed.kind.as_str(), resumed.attempt), ("order.cancel", 3));
    let last = journal.engine.advance(&[done(&resumed)]).await?;
    assert!(matches!(last.verdicts[..], [Verdict::Moved]));
    assert_eq!(journal.row(saga).await?.state, "compensated");
    Ok(())
}

#[tokio::test]
async fn a_cancel_is_honoured_before_the_pivot_and_refused_from_there_on() -> Result<()> {
    let journal = journal().await?;
    let cancel = |saga| ask(saga, Wanted::Cancel);
    let opened = journal.begin(fresh()).await?;
    let undo = journal.one(cancel(opened.saga)).await?;
    assert_eq!(undo.kind, "order.cancel");
    let twice = journal.engine.advance(&[cancel(opened.saga)]).await?;
    assert!(matches!(twice.verdicts[..], [Verdict::Ignored(Ignored::AlreadyCompensating)]));

    let mut command = journal.begin(fresh()).await?;
    while command.kind != "payment.capture" {
        command = journal.one(done(&command)).await?;
    }
    let late = journal.engine.advance(&[cancel(command.saga)]).await?;
    assert!(matches!(late.verdicts[..], [Verdict::Ignored(Ignored::PastPivot)]));
    Ok(())
}
