//! What a person on call reads first.

use crate::instance::Instance;
use anyhow::Result;
use serde_json::{Value, json};

fn choice(explained: &Value, verb: &str) -> Value {
    let verbs = explained["verbs"].as_array().cloned().unwrap_or_default();
    verbs.into_iter().find(|one| one["verb"] == verb).unwrap_or_default()
}

#[tokio::test]
async fn an_explanation_says_what_is_waited_for_what_comes_next_and_what_to_press() -> Result<()> {
    let instance = Instance::start().await?;
    let saga = instance.until("payment.capture").await?.saga;
    let path = format!("/api/v1/sagas/{saga}/explain");
    let asked = instance.get(&path).await?;
    assert_eq!(asked["waits"][0]["for"], "answer");
    assert_eq!(asked["waits"][0]["participant"], "payment");
    let next = "if nothing is heard of capture-payment: sends payment.capture (attempt 2)";
    assert_eq!(asked["next"][0]["text"], next);
    assert_eq!(choice(&asked, "skip")["legal"], false);
    assert_eq!(choice(&asked, "retry")["legal"], true);
    let waited_for = asked["participants"].as_array().map(Vec::as_slice);
    let [payment] = waited_for.unwrap_or_default() else { panic!("{asked}") };
    assert_eq!(
        (&payment["name"], &payment["dead_letters"]["open"]),
        (&json!("payment"), &json!(0))
    );

    instance.silence(saga).await?;
    let parked = instance.get(&path).await?;
    let summary = parked["summary"].as_str().unwrap_or_default();
    assert!(summary.contains("cannot go on alone"), "{summary}");
    assert_eq!(
        parked["next"],
        json!([
            { "at": null, "text": "capture-payment waits for an operator, or for a late answer" }
        ])
    );
    assert_eq!(
        choice(&parked, "force-compensate"),
        json!({ "verb": "force-compensate", "legal": true, "text": "sends shipping.cancel (attempt 1)" })
    );
    assert_eq!(choice(&parked, "cancel")["legal"], false);

    let undone = instance.verb(saga, "force-compensate", json!({})).await?;
    assert_eq!(undone.status, 202);
    let back = instance.get(&path).await?;
    assert_eq!(back["participants"][0]["name"], "shipping", "whom it waits for now");
    instance.stop().await
}
