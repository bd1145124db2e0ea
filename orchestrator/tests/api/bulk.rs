//! A verb for many sagas.

use crate::instance::Instance;
use anyhow::Result;
use serde_json::json;

#[tokio::test]
async fn a_verb_for_many_moves_those_that_it_may_and_says_why_not_of_the_others() -> Result<()> {
    let instance = Instance::start().await?;
    let early = instance.until("inventory.reserve-stock").await?.saga;
    let late = instance.until("payment.capture").await?.saga;
    let other = instance.begin("cust_1").await?.saga;
    let path = "/api/v1/sagas/bulk/cancel";
    let body = json!({ "filter": { "text": "CUST_1" }, "reason": "recall", "dry_run": true });
    let dry = instance.post(path, body).await?;
    assert_eq!((&dry.body["matched"], &dry.body["accepted"]), (&json!(3), &json!(2)), "{dry:?}");
    assert_eq!(dry.body["refused"][0]["saga_id"], json!(late));

    let body = json!({ "filter": { "step": "reserve-stock" }, "reason": "recall" });
    let done = instance.post(path, body).await?;
    assert_eq!((&done.body["matched"], &done.body["accepted"]), (&json!(1), &json!(1)), "{done:?}");
    let moved = instance.get(&format!("/api/v1/sagas/{early}")).await?;
    assert_eq!(moved["state"], "compensating");
    let left = instance.get(&format!("/api/v1/sagas/{other}")).await?;
    assert_eq!(left["state"], "running");
    let audit = instance.get("/api/v1/audit?verb=cancel").await?;
    assert_eq!(audit["items"].as_array().map(Vec::len), Some(2), "one for all, one of the saga");
    assert_eq!(audit["items"][0]["filter"], json!({ "step": "reserve-stock" }));
    assert_eq!(audit["items"][0]["text"], "1 matched, 1 accepted");
    instance.stop().await
}

#[tokio::test]
async fn a_verb_for_many_is_never_for_all() -> Result<()> {
    let instance = Instance::start().await?;
    for (verb, body, status) in [
        ("cancel", json!({ "filter": {}, "reason": "x" }), 422),
        ("cancel", json!({ "reason": "x" }), 422),
        ("cancel", json!({ "filter": { "parked": true }, "reason": "x", "limit": 1001 }), 422),
        ("cancel", json!({ "filter": { "parked": true }, "reason": "x", "step": "a" }), 422),
        ("delete", json!({ "filter": { "parked": true }, "reason": "x" }), 404),
        ("resume", json!({ "filter": { "parked": true }, "reason": "x" }), 200),
    ] {
        let answer = instance.post(&format!("/api/v1/sagas/bulk/{verb}"), body.clone()).await?;
        assert_eq!(answer.status, status, "{verb} {body}: {answer:?}");
    }
    instance.stop().await
}
