//! Who takes commands, as their queues tell.

use crate::instance::Instance;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::{PATIENCE, eventually};

#[tokio::test]
async fn every_participant_is_told_of_with_its_queues_and_who_has_none_is_known_by_it() -> Result<()>
{
    let instance = Instance::start().await?;
    instance.declare("inventory").await?;
    let body = eventually(PATIENCE, "the queues to be counted", async || {
        let list = instance.get("/api/v1/participants").await?;
        let found = of(&list, "inventory")?.clone();
        ensure!(found["commands"] == json!({ "ready": 0, "consumers": 0 }), "{found}");
        Ok(list)
    })
    .await?;
    let inventory = of(&body, "inventory")?;
    assert_eq!(inventory["retries"].as_array().map(Vec::len), Some(3), "{inventory}");
    assert_eq!(inventory["dead_letters"], json!({ "queued": 0, "open": 0 }));
    assert_eq!(inventory["reachable"], Value::Null, "nobody told where it is");
    let payment = of(&body, "payment")?;
    assert_eq!(payment["commands"], json!({ "ready": null, "consumers": null }), "no such queue");
    instance.stop().await
}

fn of<'a>(list: &'a Value, name: &str) -> Result<&'a Value> {
    let mut items = list["items"].as_array().into_iter().flatten();
    items.find(|item| item["name"] == name).with_context(|| format!("no {name} in {list}"))
}
