//! Several orchestrators on the same queues.

use crate::{load, on_stack};
use anyhow::{Result, ensure};
use testkit::{PATIENCE, With, eventually};

const BOTH: [&str; 2] = ["orchestrator", "orchestrator-2"];

#[tokio::test]
async fn two_orchestrators_share_the_load_and_one_finishes_it_when_the_other_dies() -> Result<()> {
    on_stack(&[With::Orchestrators(2)], async |stack| {
        let mut orders = load::submit(stack, 30).await?;
        eventually(PATIENCE, "both to move sagas", async || {
            for name in BOTH {
                let moved = stack.metric(name, "replies_total", &[]).await?;
                ensure!(moved > 0.0, "{name} has moved none");
            }
            Ok(())
        })
        .await?;
        orders.extend(load::submit(stack, 30).await?);
        stack.kill9("orchestrator").await?;
        // The one that is left answers for all of them.
        load::end(stack, &orders).await?;
        stack.restart("orchestrator").await
    })
    .await
}
