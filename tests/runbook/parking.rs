//! Sagas that wait for an operator.

use crate::{
    ONE_ATTEMPT,
    desk::{at_the_gateway, outside, parked},
    walk,
};
use anyhow::{Result, ensure};

#[tokio::test]
async fn a_parked_saga_is_explained_and_resumed() -> Result<()> {
    walk("A saga is parked", &ONE_ATTEMPT, async |stack, desk| {
        let id = stack.until_shipping("DE").await?;
        outside(stack, "gateway", "down").await?;
        stack.restart("shipping").await?;
        parked(stack, id).await?;
        desk.knows("<id>", id);

        desk.types("sagactl sagas list --parked").await?.names(id)?.names("capture-payment")?;
        let explained = desk.types("sagactl sagas explain <id>").await?;
        explained.shows("cannot go on alone")?.names("resume")?;

        outside(stack, "gateway", "ok").await?;
        let bulk = "sagactl sagas resume --parked --reason \"…\" --dry-run";
        desk.types(bulk).await?.names("1")?;
        ensure!(!stack.saga(id).await?["parked"].is_null(), "a dry run changes nothing");
        desk.types("sagactl sagas resume <id> --reason \"…\"").await?;
        let saga = stack.wait_saga(id, "completed").await?;
        ensure!(saga["parked"].is_null(), "{}", saga["parked"]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_compensation_that_keeps_failing_is_retried_or_done_by_hand_and_skipped() -> Result<()> {
    walk("A compensation keeps failing", &ONE_ATTEMPT, async |stack, desk| {
        // The carrier refuses, and the money cannot be let go.
        let id = stack.until_shipping("XX").await?;
        outside(stack, "gateway", "down").await?;
        stack.restart("shipping").await?;
        parked(stack, id).await?;
        desk.knows("<id>", id);
        desk.knows("<step>", "authorise-payment");
        let explained = desk.types("sagactl sagas explain <id>").await?;
        explained.shows("It goes back")?.shows("never skipped by itself")?;
        let faulted = [r#"leg="compensation""#, r#"outcome="faulted""#];
        let seen = stack.metric("orchestrator", "replies_total", &faulted).await?;
        ensure!(seen >= 1.0, "what the alert watches is counted: {seen}");

        outside(stack, "gateway", "ok").await?;
        desk.types("sagactl sagas retry <id> --step <step> --reason \"…\"").await?;
        stack.wait_saga(id, "compensated").await?;

        // Another one, which somebody voids by hand.
        let id = stack.until_shipping("XX").await?;
        outside(stack, "gateway", "down").await?;
        stack.restart("shipping").await?;
        parked(stack, id).await?;
        desk.knows("<id>", id);
        outside(stack, "gateway", "ok").await?;
        at_the_gateway(stack, id, "voids").await?;
        desk.types("sagactl sagas skip <id> --step <step> --reason \"…\"").await?;
        stack.wait_saga(id, "compensated").await?;
        stack.wait_order(id, "cancelled").await?;
        desk.sees("vouched for", &desk.audit().await?)?;
        Ok(())
    })
    .await
}
