//! Messages that were set aside.

use crate::{
    ONE_ATTEMPT,
    desk::{outside, parked},
    walk,
};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::{PATIENCE, Stack, eventually};

#[tokio::test]
async fn poison_is_discarded_and_what_died_of_a_cause_is_replayed_once_that_is_mended() -> Result<()>
{
    walk("A command is poison", &ONE_ATTEMPT, async |stack, desk| {
        stack.vhost().publish("saga.commands", "inventory.commands", "{not json").await?;
        // And a capture that died of the gateway; its saga is parked.
        let id = stack.until_shipping("DE").await?;
        outside(stack, "gateway", "down").await?;
        stack.restart("shipping").await?;
        parked(stack, id).await?;
        let groups = collected(stack, 2).await?;
        let seen = desk.types("sagactl dead-letters groups").await?;
        seen.shows("poison-")?.shows("attempts-spent")?;
        let of = |participant: &str| {
            let found = groups.iter().find(|group| group["participant"] == participant);
            let found = found.and_then(|group| group["fingerprint"].as_str());
            found.map(str::to_owned).with_context(|| format!("no letter of {participant}"))
        };

        outside(stack, "gateway", "ok").await?;
        desk.knows("<fingerprint>", of("payment")?);
        let replay = "sagactl dead-letters replay --fingerprint <fingerprint> --reason \"…\"";
        desk.types(&format!("{replay} --dry-run")).await?.names("1")?;
        desk.types(&format!("{replay} --yes")).await?;
        stack.wait_saga(id, "completed").await?;
        desk.knows("<fingerprint>", of("inventory")?);
        let discard =
            "sagactl dead-letters discard --fingerprint <fingerprint> --reason \"…\" --yes";
        desk.types(discard).await?;
        eventually(PATIENCE, "no open dead letter", async || {
            let open = stack.get("orchestrator", "/api/v1/dead-letters?state=open").await?;
            ensure!(open["items"].as_array().is_some_and(Vec::is_empty), "{open}");
            Ok(())
        })
        .await?;
        // Once is once.
        let again = stack.get("orchestrator", "/api/v1/dead-letters?participant=payment").await?;
        ensure!(again["items"][0]["state"] == "replayed", "{again}");
        Ok(())
    })
    .await
}

async fn collected(stack: &Stack, count: usize) -> Result<Vec<Value>> {
    eventually(PATIENCE, "the letters to be collected", async || {
        let groups = stack.get("orchestrator", "/api/v1/dead-letters/groups").await?;
        let items = groups["items"].as_array().cloned().unwrap_or_default();
        ensure!(items.len() == count, "{groups}");
        Ok(items)
    })
    .await
}
