//! The verbs of the table at the top, from REST to everybody's books.

use crate::{
    ONE_ATTEMPT,
    desk::{Desk, at_the_gateway, outside, parked, post},
};
use anyhow::{Context, Result, ensure};
use contracts::SagaId;
use serde_json::{Value, json};
use testkit::{Stack, With};

/// As [`crate::walk`], and looks at what the auditor says.
async fn operated(
    options: &[With],
    steps: impl AsyncFnOnce(&mut Stack) -> Result<()>,
) -> Result<Value> {
    let mut stack = Stack::start(options).await?;
    let done = steps(&mut stack).await;
    stack.explain(done).await?;
    Desk::at(&stack, "")?.is_clean(&stack).await
}

/// An order whose pivot is parked: its money is set aside, and the capture failed.
async fn pivot_parked(stack: &mut Stack) -> Result<SagaId> {
    let id = stack.until_shipping("DE").await?;
    outside(stack, "gateway", "down").await?;
    stack.restart("shipping").await?;
    let saga = parked(stack, id).await?;
    ensure!(saga["parked"]["step"] == "capture-payment", "{}", saga["parked"]);
    Ok(id)
}

async fn verb(stack: &Stack, id: SagaId, verb: &str, more: Value) -> Result<(u16, Value)> {
    let mut body = json!({ "reason": "a spec wants it", "by": "ada" });
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    post(stack, &format!("/api/v1/sagas/{id}/{verb}"), body).await
}

async fn trail(stack: &Stack, query: &str) -> Result<Vec<Value>> {
    let page = stack.get("orchestrator", &format!("/api/v1/audit?{query}")).await?;
    page["items"].as_array().cloned().context("no items")
}

fn vouched(report: &Value) -> Vec<&str> {
    let all = report["vouched_for"].as_array().into_iter().flatten();
    all.filter_map(|one| one["invariant"].as_str()).collect()
}

#[tokio::test]
async fn a_retried_pivot_takes_the_money_once_and_what_makes_no_sense_is_refused() -> Result<()> {
    let report = operated(&ONE_ATTEMPT, async |stack| {
        let id = pivot_parked(stack).await?;
        // Past the pivot nothing is cancelled, and a step that is not waited for is not retried.
        let (status, refused) = verb(stack, id, "cancel", json!({})).await?;
        ensure!(status == 409, "{refused}");
        let legal = json!(["resume", "retry", "skip", "force-compensate"]);
        ensure!(refused["legal"] == legal, "{refused}");
        ensure!(refused["detail"].as_str().is_some_and(|it| it.contains("pivot")), "{refused}");
        let other = json!({ "step": "open-order" });
        let (status, refused) = verb(stack, id, "retry", other).await?;
        ensure!(status == 409 && refused["legal"] == legal, "{status} {refused}");

        outside(stack, "gateway", "ok").await?;
        let step = json!({ "step": "capture-payment", "dry_run": true });
        let (status, would) = verb(stack, id, "retry", step).await?;
        let send = json!([{ "send": "payment.capture", "step": "capture-payment",
                            "leg": "action", "attempt": 2 }]);
        ensure!(status == 200 && would["would"] == send, "{status} {would}");
        ensure!(!stack.saga(id).await?["parked"].is_null(), "a dry run changes nothing");
        let step = json!({ "step": "capture-payment" });
        let (status, done) = verb(stack, id, "retry", step).await?;
        ensure!(status == 202, "{status} {done}");
        let saga = stack.wait_saga(id, "completed").await?;
        ensure!(saga["steps"][4]["attempts"] == 2, "{}", saga["steps"][4]);

        for over in ["cancel", "resume", "retry", "skip", "force-compensate"] {
            let (status, refused) = verb(stack, id, over, json!({})).await?;
            ensure!(status == 409 && refused["legal"] == json!([]), "{over}: {status} {refused}");
        }
        let rows = trail(stack, &format!("saga_id={id}&verb=retry")).await?;
        let told: Vec<_> = rows.iter().map(|row| (&row["accepted"], &row["by"])).collect();
        let ada = json!("ada");
        let wanted = [(&json!(false), &ada), (&json!(true), &ada), (&json!(false), &ada)];
        ensure!(told == wanted, "refused, accepted, refused, and no dry run: {rows:?}");
        ensure!(rows[1]["audit_id"] == done["audit_id"], "{rows:?}");
        Ok(())
    })
    .await?;
    ensure!(vouched(&report).is_empty(), "nobody vouched for anything: {report}");
    Ok(())
}

#[tokio::test]
async fn a_pivot_done_by_hand_and_skipped_completes_and_the_auditor_names_what_was_vouched_for()
-> Result<()> {
    let report = operated(&ONE_ATTEMPT, async |stack| {
        let id = pivot_parked(stack).await?;
        outside(stack, "gateway", "ok").await?;
        at_the_gateway(stack, id, "captures").await?;
        let (status, wrong) = verb(stack, id, "skip", json!({ "value": { "a": 1 } })).await?;
        ensure!(status == 422 && wrong["errors"][0]["field"] == "value", "{status} {wrong}");
        let step = json!({ "step": "capture-payment" });
        let (status, done) = verb(stack, id, "skip", step).await?;
        ensure!(status == 202, "{status} {done}");
        stack.wait_order(id, "confirmed").await?;
        stack.wait_saga(id, "completed").await?;
        let payment = stack.get("payment", &format!("/api/v1/payments/{id}")).await?;
        ensure!(payment["status"] == "authorised", "payment was never told: {payment}");
        Ok(())
    })
    .await?;
    let vouched = vouched(&report);
    ensure!(vouched.contains(&"payment-agrees-with-the-saga"), "{report}");
    ensure!(vouched.contains(&"inbox-agrees-with-the-journal"), "{report}");
    ensure!(vouched.len() == 2, "and nothing else: {report}");
    Ok(())
}

#[tokio::test]
async fn a_saga_that_is_forced_back_lets_go_of_money_parcel_and_stock() -> Result<()> {
    let report = operated(&ONE_ATTEMPT, async |stack| {
        let id = pivot_parked(stack).await?;
        outside(stack, "gateway", "ok").await?;
        let dry = json!({ "dry_run": true });
        let (status, would) = verb(stack, id, "force-compensate", dry).await?;
        ensure!(status == 200 && would["state_after"] == "compensating", "{status} {would}");
        let (status, done) = verb(stack, id, "force-compensate", json!({})).await?;
        ensure!(status == 202, "{status} {done}");
        let saga = stack.wait_saga(id, "compensated").await?;
        ensure!(saga["cause"]["cause"] == "forced", "{}", saga["cause"]);
        stack.wait_order(id, "cancelled").await?;
        let payment = stack.get("payment", &format!("/api/v1/payments/{id}")).await?;
        ensure!(payment["status"] == "voided", "{payment}");
        let shipment = stack.get("shipping", &format!("/api/v1/shipments/{id}")).await?;
        ensure!(shipment["status"] == "cancelled", "{shipment}");
        let holds = stack.get("inventory", &format!("/api/v1/holds?order_id={id}")).await?;
        ensure!(holds["items"][0]["status"] == "released", "{holds}");
        Ok(())
    })
    .await?;
    ensure!(vouched(&report).iter().all(|it| *it == "inbox-agrees-with-the-journal"), "{report}");
    Ok(())
}

#[tokio::test]
async fn a_verb_for_many_does_what_its_dry_run_said_and_is_in_the_audit_trail() -> Result<()> {
    // Long enough for three orders to get to their shipments; then payment is gone, and stays so
    // until each capture has been waited for in vain.
    let options = [
        With::Env("orchestrator", "SAGA_STEP_ATTEMPTS", "1"),
        With::Env("orchestrator", "SAGA_STEP_TIMEOUT", "15"),
    ];
    let report = operated(&options, async |stack| {
        let mut ids = Vec::new();
        for _ in 0..3 {
            ids.push(stack.until_shipping("DE").await?);
        }
        stack.stop("payment").await?;
        stack.restart("shipping").await?;
        for id in &ids {
            parked(stack, *id).await?;
        }
        let cancel = json!({ "filter": { "parked": true }, "reason": "x" });
        let (status, refused) = post(stack, "/api/v1/sagas/bulk/cancel", cancel).await?;
        ensure!(status == 200 && refused["accepted"] == 0, "past the pivot: {refused}");
        ensure!(refused["refused"].as_array().map(Vec::len) == Some(3), "{refused}");
        let path = "/api/v1/sagas/bulk/retry";
        let mut ask = json!({
            "filter": { "step": "capture-payment", "parked": true },
            "step": "capture-payment",
            "reason": "payment comes back",
            "by": "ada",
            "dry_run": true,
        });
        let (status, dry) = post(stack, path, ask.clone()).await?;
        ensure!(status == 200 && dry["matched"] == 3 && dry["accepted"] == 3, "{dry}");
        ensure!(trail(stack, "verb=retry").await?.is_empty(), "a dry run leaves no trace");
        ask["dry_run"] = json!(false);
        let (status, done) = post(stack, path, ask.clone()).await?;
        ensure!(status == 200 && done["accepted"] == 3, "{done}");
        let rows = trail(stack, "verb=retry").await?;
        ensure!(rows.len() == 4 && rows[0]["filter"] == ask["filter"], "{rows:?}");
        stack.launch("payment")?;
        for id in &ids {
            stack.wait_saga(*id, "completed").await?;
        }
        Ok(())
    })
    .await?;
    ensure!(vouched(&report).is_empty(), "{report}");
    Ok(())
}
