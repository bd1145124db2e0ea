//! Verbs for one saga: what they answer, and that they do what they said they would.

use crate::instance::Instance;
use anyhow::Result;
use serde_json::json;

#[tokio::test]
async fn a_refused_verb_says_why_and_which_ones_are_legal() -> Result<()> {
    let instance = Instance::start().await?;
    let capture = instance.until("payment.capture").await?;
    let saga = capture.saga;
    let early = instance.verb(saga, "force-compensate", json!({})).await?;
    assert_eq!((early.status, early.kind.as_str()), (409, "application/problem+json"));
    assert_eq!(early.body["legal"], json!(["retry"]));
    instance.silence(saga).await?;
    let cancel = instance.verb(saga, "cancel", json!({})).await?;
    assert_eq!(cancel.status, 409);
    assert_eq!(cancel.body["legal"], json!(["resume", "retry", "skip", "force-compensate"]));
    let view = instance.get(&format!("/api/v1/sagas/{saga}")).await?;
    assert_eq!(view["verbs"], cancel.body["legal"]);
    assert_eq!(view["remaining"], json!(["confirm-order", "notify-customer"]));
    instance.stop().await
}

#[tokio::test]
async fn a_dry_run_tells_what_the_verb_then_does() -> Result<()> {
    let instance = Instance::start().await?;
    let saga = instance.until("payment.capture").await?.saga;
    instance.silence(saga).await?;
    let dry = instance.verb(saga, "force-compensate", json!({ "dry_run": true })).await?;
    assert_eq!(dry.status, 200);
    let would = json!([
        { "send": "shipping.cancel", "step": "book-shipment", "leg": "compensation", "attempt": 1 }
    ]);
    assert_eq!((&dry.body["would"], &dry.body["state_after"]), (&would, &json!("compensating")));
    let view = instance.get(&format!("/api/v1/sagas/{saga}")).await?;
    assert_eq!(view["state"], "running", "nothing has happened");

    let done = instance.verb(saga, "force-compensate", json!({})).await?;
    assert_eq!(done.status, 202);
    let view = instance.get(&format!("/api/v1/sagas/{saga}")).await?;
    assert_eq!(view["waits"][0]["step"], "book-shipment");
    assert_eq!(view["cause"]["cause"], "forced");
    assert_eq!(view["remaining"], json!(["authorise-payment", "reserve-stock", "open-order"]));
    let audit = instance.get(&format!("/api/v1/audit?saga_id={saga}")).await?;
    assert_eq!(audit["items"][0]["audit_id"], done.body["audit_id"]);
    assert_eq!(audit["items"][0]["by"], "night shift");
    assert_eq!(audit["items"].as_array().map(Vec::len), Some(1), "a dry run leaves no trace");
    instance.stop().await
}

#[tokio::test]
async fn a_value_of_the_wrong_shape_is_not_assumed() -> Result<()> {
    let instance = Instance::start().await?;
    let saga = instance.until("payment.capture").await?.saga;
    instance.silence(saga).await?;
    let wrong = instance.verb(saga, "skip", json!({ "value": { "a": 1 } })).await?;
    assert_eq!((wrong.status, &wrong.body["errors"][0]["field"]), (422, &json!("value")));
    let nowhere = instance.verb(saga, "skip", json!({ "step": "make-tea" })).await?;
    assert_eq!((nowhere.status, &nowhere.body["errors"][0]["field"]), (422, &json!("step")));
    let done = instance.verb(saga, "skip", json!({})).await?;
    assert_eq!(done.status, 202, "{done:?}");
    let view = instance.get(&format!("/api/v1/sagas/{saga}")).await?;
    assert_eq!(view["steps"][4]["status"], "done");
    assert_eq!(view["history"].as_array().unwrap().last().unwrap()["event"], "skip-requested");
    instance.stop().await
}

#[tokio::test]
async fn a_verb_without_a_reason_or_for_nobody_is_refused() -> Result<()> {
    let instance = Instance::start().await?;
    let saga = instance.begin("cust_1").await?.saga;
    let path = format!("/api/v1/sagas/{saga}/cancel");
    for body in [json!({}), json!({ "reason": "  " }), json!({ "reason": "x", "more": 1 })] {
        assert_eq!(instance.post(&path, body).await?.status, 422);
    }
    let nobody = instance.post(
        "/api/v1/sagas/00000000-0000-7000-8000-000000000000/cancel",
        json!({ "reason": "x" }),
    );
    assert_eq!(nobody.await?.status, 404);
    instance.stop().await
}
