//! Money, parcels and dead letters that should not be there, by hand, and what must be said of
//! them. Each is taken away again.

use crate::{Broken, broken, look, world::World};
use anyhow::{Result, ensure};
use contracts::SagaId;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{PATIENCE, eventually};
use uuid::Uuid;

/// What goes wrong, a line each.
pub async fn each_is_found(world: &World) -> Result<Vec<String>> {
    let mut failures = Vec::new();
    let nobody = SagaId(Uuid::from_u128(7));
    for (saga, key, found) in [
        (world.sold_out, "authorise-payment/action", &["gateway-agrees-with-the-saga"][..]),
        (nobody, "authorise-payment/action", &["effect-has-its-saga"]),
        (
            world.completed,
            "twice",
            &["gateway-agrees-with-the-saga", "gateway-has-one-authorisation"],
        ),
    ] {
        let key = format!("{saga}/{key}");
        let wanted = json!({ "amount": 5, "currency": "EUR", "method": "card_ok" });
        outside(world, "gateway/authorisations", &key, wanted).await?;
        failures.extend(compare(world, &key, saga, found).await?);
        let named = json!({ "authorisation_key": key });
        outside(world, "gateway/voids", &format!("{key}/undo"), named).await?;
    }
    for (saga, key, found) in [
        (world.sold_out, "book-shipment/action", &["carrier-agrees-with-the-saga"][..]),
        (nobody, "book-shipment/action", &["effect-has-its-saga"]),
        (world.completed, "twice", &["carrier-agrees-with-the-saga", "carrier-has-one-parcel"]),
    ] {
        let key = format!("{saga}/{key}");
        outside(world, "carrier/shipments", &key, json!({ "country": "DE" })).await?;
        failures.extend(compare(world, &key, saga, found).await?);
        let named = json!({ "shipment_key": key });
        outside(world, "carrier/cancellations", &format!("{key}/undo"), named).await?;
    }
    failures.extend(dead_letters(world).await?);
    Ok(failures)
}

async fn compare(
    world: &World,
    what: &str,
    saga: SagaId,
    found: &[&str],
) -> Result<Option<String>> {
    let report = look(&world.sources()?).await?;
    let wanted: Broken = found.iter().map(|name| ((*name).to_owned(), Some(saga.0))).collect();
    let is = broken(&report);
    let verdict = if is == wanted { "found" } else { "WRONG" };
    eprintln!("{verdict}  {what}");
    eprint!("{}", report.table(false));
    Ok((is != wanted).then(|| format!("{what}\n  wanted {wanted:?}\n  found {is:?}")))
}

async fn outside(world: &World, path: &str, key: &str, body: Value) -> Result<()> {
    let request = world.stack.request(Method::POST, "simulator", &format!("/{path}"))?;
    let answer = request.header("idempotency-key", key).json(&body).send().await?;
    ensure!(answer.status().is_success(), "{path} answered with {}", answer.status());
    Ok(())
}

/// One after the other, so that each is seen beside those that are in order.
async fn dead_letters(world: &World) -> Result<Vec<String>> {
    let nobody = SagaId(Uuid::from_u128(9));
    let mut failures = Vec::new();
    let mut wanted = Broken::new();
    for (number, (saga, reason, found)) in [
        (world.completed, Some("attempts-spent"), None),
        (nobody, Some("poison-not-json"), None),
        (nobody, Some("attempts-spent"), Some("dead-letter-has-its-saga")),
        (world.completed, None, Some("dead-letter-says-why")),
    ]
    .into_iter()
    .enumerate()
    {
        publish(world, saga, reason).await?;
        wanted.extend(found.map(|name| (name.to_owned(), Some(saga.0))));
        let report = eventually(PATIENCE, "the broker to count its letters", async || {
            let report = look(&world.sources()?).await?;
            let read = report.dead_letters.len();
            ensure!(read == number + 1, "{read} letters are read, of {}", number + 1);
            Ok(report)
        })
        .await?;
        if broken(&report) != wanted {
            let is = broken(&report);
            failures.push(format!("dead letter {number}: wanted {wanted:?}, found {is:?}"));
        }
        eprint!("{}", report.table(false));
    }
    Ok(failures)
}

async fn publish(world: &World, saga: SagaId, reason: Option<&str>) -> Result<()> {
    let vhost = world.stack.vhost().name();
    let url = world
        .instances
        .management
        .join(&format!("api/exchanges/{vhost}/saga.dead-letters/publish"))?;
    let headers = reason.map_or(json!({}), |reason| json!({ "dead-reason": reason }));
    let message = json!({
        "routing_key": "payment.dead-letters", "payload": "{}", "payload_encoding": "string",
        "properties": {
            "message_id": format!("{saga}/by-hand"), "correlation_id": saga.to_string(),
            "type": "payment.authorise", "headers": headers,
        },
    });
    let answer = runtime::http_client::client()?.post(url).json(&message).send().await?;
    let status = answer.status();
    let said: Value = answer.json().await?;
    ensure!(status.is_success() && said["routed"] == true, "published: {status} {said}");
    Ok(())
}
