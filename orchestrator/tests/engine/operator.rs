//! What operators do to sagas that are stuck, and what is kept of it.

use crate::journal::{Journal, ask, done, engine, fresh, journal, patient, reply};
use anyhow::Result;
use contracts::{CommandEnvelope, Leg, Outcome, SagaId};
use orchestrator::{
    audit::Action,
    engine::{Advanced, Engine, Occurrence, Verdict},
    operator::{Wanted, Which},
    replay,
};
use saga_core::Ignored;
use serde_json::{Value, json};
use std::time::Duration;
use testkit::{PATIENCE, eventually};

const IMPATIENT: Option<Duration> = Some(Duration::from_millis(1));

fn of(step: &str) -> Which {
    Which { step: Some(step.to_owned()), leg: None }
}

fn retry(step: &str) -> Wanted {
    Wanted::Retry(of(step))
}

fn skip(step: &str, value: Value) -> Wanted {
    Wanted::Skip(of(step), value)
}

impl Journal {
    /// A saga that waits for the answer to this command.
    async fn until(&self, kind: &str) -> Result<CommandEnvelope> {
        let mut command = self.begin(fresh()).await?;
        while command.kind != kind {
            command = self.one(done(&command)).await?;
        }
        Ok(command)
    }

    /// Answers with nothing until it is parked.
    async fn silence(&self, saga: SagaId) -> Result<()> {
        eventually(PATIENCE, "the saga to be parked", async || {
            self.engine.advance(&[Occurrence::Wake(saga)]).await?;
            anyhow::ensure!(self.row(saga).await?.parked.is_some(), "not yet");
            Ok(())
        })
        .await
    }

    async fn verdict(&self, occurrence: Occurrence) -> Result<Verdict> {
        let Advanced { mut verdicts, .. } = self.engine.advance(&[occurrence]).await?;
        Ok(verdicts.remove(0))
    }

    async fn audited(&self, saga: SagaId) -> Result<Vec<Action>> {
        let sql = "SELECT * FROM operator_action WHERE saga_id = $1 ORDER BY at";
        Ok(sqlx::query_as(sql).bind(saga.0).fetch_all(&self.engine.pool).await?)
    }

    async fn history(&self, engine: &Engine, saga: SagaId) -> Result<Value> {
        let record = self.row(saga).await?.record(&engine.catalogue)?;
        let lines = replay::history(&engine.pool, saga.0).await?;
        let (told, _) = replay::tell(record.definition.plan(), lines);
        Ok(serde_json::to_value(told)?)
    }
}

#[tokio::test]
async fn a_leg_that_is_waited_for_is_asked_again_parked_or_not() -> Result<()> {
    let journal = patient(IMPATIENT).await?;
    let open = journal.begin(fresh()).await?;
    let again = journal.one(ask(open.saga, retry("open-order"))).await?;
    assert_eq!((again.kind.as_str(), again.attempt), ("order.open", 2));
    journal.silence(open.saga).await?;
    let undo = journal.one(ask(open.saga, Wanted::Retry(Which::default()))).await?;
    assert_eq!((undo.kind.as_str(), undo.attempt), ("order.cancel", 3), "the one that waits");
    let elsewhere = journal.verdict(ask(open.saga, retry("book-shipment"))).await?;
    assert!(matches!(elsewhere, Verdict::Ignored(Ignored::NotAwaited)), "{elsewhere:?}");
    let nowhere = journal.verdict(ask(open.saga, retry("make-tea"))).await?;
    assert!(matches!(nowhere, Verdict::Unacceptable(_)), "{nowhere:?}");
    Ok(())
}

#[tokio::test]
async fn what_is_parked_is_done_on_an_operators_word_and_a_late_answer_is_stale() -> Result<()> {
    let journal = patient(IMPATIENT).await?;
    let capture = journal.until("payment.capture").await?;
    let saga = capture.saga;
    let asked = journal.verdict(ask(saga, skip("capture-payment", Value::Null))).await?;
    assert!(matches!(asked, Verdict::Ignored(Ignored::StillAsked)), "{asked:?}");
    journal.silence(saga).await?;
    let wrong = journal.verdict(ask(saga, skip("capture-payment", json!({ "a": 1 })))).await?;
    assert!(matches!(&wrong, Verdict::Unacceptable(it) if it.field == "value"), "{wrong:?}");
    let confirm = journal.one(ask(saga, skip("capture-payment", Value::Null))).await?;
    assert_eq!(confirm.kind, "order.confirm");
    let late = journal.verdict(done(&capture)).await?;
    assert!(matches!(late, Verdict::Ignored(Ignored::Stale)), "{late:?}");
    let history = journal.history(&journal.engine, saga).await?;
    let line = history.as_array().and_then(|lines| lines.last()).cloned().unwrap_or_default();
    assert_eq!(
        (&line["event"], &line["step"]),
        (&json!("skip-requested"), &json!("capture-payment"))
    );
    assert_eq!(line["then"][0]["sent"], "order.confirm");
    Ok(())
}

#[tokio::test]
async fn a_compensation_that_was_done_by_hand_lets_the_others_follow() -> Result<()> {
    let journal = patient(IMPATIENT).await?;
    let reserve = journal.until("inventory.reserve-stock").await?;
    let saga = reserve.saga;
    let release = journal.one(ask(saga, Wanted::Cancel)).await?;
    assert_eq!(release.kind, "inventory.release-stock");
    journal.silence(saga).await?;
    let cancel = journal.one(ask(saga, skip("reserve-stock", Value::Null))).await?;
    assert_eq!(cancel.kind, "order.cancel");
    let last = journal.engine.advance(&[done(&cancel)]).await?;
    assert!(matches!(last.verdicts[..], [Verdict::Moved]));
    assert_eq!(journal.row(saga).await?.state, "compensated");
    Ok(())
}

#[tokio::test]
async fn a_parked_pivot_is_forced_back_and_one_that_is_done_never() -> Result<()> {
    let journal = patient(IMPATIENT).await?;
    let capture = journal.until("payment.capture").await?;
    let saga = capture.saga;
    let early = journal.verdict(ask(saga, Wanted::ForceCompensate)).await?;
    assert!(matches!(early, Verdict::Ignored(Ignored::StillAsked)), "{early:?}");
    journal.silence(saga).await?;
    let cancel = journal.verdict(ask(saga, Wanted::Cancel)).await?;
    assert!(matches!(cancel, Verdict::Ignored(Ignored::PastPivot)), "{cancel:?}");
    let undo = journal.one(ask(saga, Wanted::ForceCompensate)).await?;
    assert_eq!(undo.kind, "shipping.cancel");
    let late = journal.verdict(done(&capture)).await?;
    assert!(matches!(late, Verdict::Ignored(Ignored::Stale)), "{late:?}");
    let row = journal.row(saga).await?;
    let cause = row.cause.clone().expect("a reason").0;
    assert_eq!(
        (cause.cause.as_str(), cause.text.as_str()),
        ("forced", "forced back: a test wants it")
    );
    assert_eq!(row.record(&journal.engine.catalogue)?.state_word(), "compensating");

    let confirm = journal.until("order.confirm").await?;
    let done = journal.verdict(ask(confirm.saga, Wanted::ForceCompensate)).await?;
    assert!(matches!(done, Verdict::Ignored(Ignored::PivotDone)), "{done:?}");
    let open = journal.begin(fresh()).await?;
    let early = journal.verdict(ask(open.saga, Wanted::ForceCompensate)).await?;
    assert!(matches!(early, Verdict::Ignored(Ignored::PivotNotAsked)), "{early:?}");
    Ok(())
}

#[tokio::test]
async fn every_verb_leaves_who_asked_and_why_and_nobody_can_change_it() -> Result<()> {
    let journal = journal().await?;
    let open = journal.begin(fresh()).await?;
    let saga = open.saga;
    journal.verdict(ask(saga, Wanted::Resume)).await?;
    journal.one(ask(saga, Wanted::Cancel)).await?;
    let audited = journal.audited(saga).await?;
    let told: Vec<_> =
        audited.iter().map(|it| (it.verb.as_str(), it.accepted, it.text.as_str())).collect();
    assert_eq!(
        told,
        [
            ("resume", false, "nothing of the saga is parked"),
            ("cancel", true, "compensating; sent order.cancel (attempt 1)"),
        ]
    );
    assert_eq!(audited[1].reason, "a test wants it");
    for change in [
        "UPDATE operator_action SET by = 'nobody'",
        "DELETE FROM operator_action",
        "TRUNCATE operator_action",
    ] {
        let refused = sqlx::query(change).execute(&journal.engine.pool).await;
        assert!(refused.is_err(), "{change}");
    }
    Ok(())
}

#[tokio::test]
async fn a_rehearsal_says_what_would_be_sent_and_stores_nothing() -> Result<()> {
    let journal = journal().await?;
    let open = journal.begin(fresh()).await?;
    let cancel = ask(open.saga, Wanted::Cancel);
    let rehearsed = journal.engine.rehearse(&[cancel]).await?;
    assert!(matches!(rehearsed.verdicts[..], [Verdict::Moved]));
    assert_eq!(rehearsed.commands[0].kind, "order.cancel");
    assert_eq!(rehearsed.records[&open.saga].state_word(), "compensating");
    assert_eq!(journal.row(open.saga).await?.state, "running");
    assert!(journal.audited(open.saga).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_saga_keeps_the_attempts_that_it_was_started_with() -> Result<()> {
    let journal = patient(IMPATIENT).await?;
    let open = journal.begin(fresh()).await?;
    let saga = open.saga;
    // Started with two attempts; the next orchestrator is told five.
    let later = engine(&journal.database, IMPATIENT, Some(5));
    let mut sent = Vec::new();
    eventually(PATIENCE, "the saga to be parked", async || {
        let woken = later.advance(&[Occurrence::Wake(saga)]).await?;
        sent.extend(woken.commands.into_iter().map(|command| (command.leg, command.attempt)));
        anyhow::ensure!(journal.row(saga).await?.parked.is_some(), "not yet");
        Ok(())
    })
    .await?;
    assert_eq!(sent, [(Leg::Action, 2), (Leg::Compensation, 1), (Leg::Compensation, 2)]);
    for engine in [&later, &journal.engine] {
        let history = journal.history(engine, saga).await?;
        let last = history.as_array().and_then(|lines| lines.last()).cloned().unwrap_or_default();
        assert_eq!(last["then"], json!([{ "parked": "open-order", "leg": "compensation" }]));
    }
    Ok(())
}

#[tokio::test]
async fn a_refusal_after_a_retry_is_still_a_refusal() -> Result<()> {
    let journal = journal().await?;
    let authorise = journal.until("payment.authorise").await?;
    journal.one(ask(authorise.saga, retry("authorise-payment"))).await?;
    let no = reply(&authorise, Outcome::Refused, json!({ "status": "card-declined" }));
    let undo = journal.one(no).await?;
    assert_eq!(undo.kind, "inventory.release-stock", "every attempt has the same answer");
    Ok(())
}
