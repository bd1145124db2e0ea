//! A saga that did not reach its pivot in time.

use crate::walk;
use anyhow::{Result, ensure};
use testkit::With;

/// Long for an order that nothing holds up, short for a test.
const DEADLINE: [With; 1] = [With::Env("orchestrator", "SAGA_DEADLINE", "8")];

#[tokio::test]
async fn a_saga_whose_deadline_has_passed_is_undone_and_the_next_one_is_in_time() -> Result<()> {
    walk("A deadline has passed", &DEADLINE, async |stack, desk| {
        stack.stop("shipping").await?;
        let id = stack.order_paid_with("card_ok", 1).await?;
        desk.knows("<id>", id);
        let turned = |saga: &serde_json::Value| saga["state"] != "running";
        stack.wait_until(id, "the deadline to pass", turned).await?;
        let explained = desk.types("sagactl sagas explain <id>").await?;
        explained.shows("deadline passed")?.names("shipping has not answered")?;
        desk.types("sagactl sagas list --cause deadline-passed").await?.names(id)?;

        // Its undoing waits for shipping, too: a parcel may be booked.
        stack.restart("shipping").await?;
        let saga = stack.wait_saga(id, "compensated").await?;
        ensure!(saga["cause"]["cause"] == "deadline-passed", "{}", saga["cause"]);
        let shown = desk.types("sagactl sagas show <id>").await?;
        shown.shows("deadline passed")?.names("book-shipment")?;
        let id = stack.order_paid_with("card_ok", 1).await?;
        stack.wait_saga(id, "completed").await?;
        Ok(())
    })
    .await
}
