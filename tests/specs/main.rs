//! What the whole system promises, each promise kept by real processes on a real RabbitMQ and
//! PostgreSQL. Every spec has a virtual host and databases of its own (or a broker and a database
//! server of its own, where it kills them) and ends by auditing stock, money and parcels.

mod admission;
mod api_input;
mod broker_outage;
mod cancel;
mod crash_recovery;
mod database_outage;
mod duplicates;
mod idempotency;
mod kills;
mod late_answers;
mod load;
mod lost_queues;
mod management;
mod observability;
mod orchestrators;
mod orders;
mod outside_outage;
mod parking;
mod poison;
mod retention;
mod secrets;
mod traces;
mod wire;

use anyhow::Result;
use testkit::{Stack, With};

/// Runs `spec` on a stack of its own, then audits everybody's books. Whatever fails is explained
/// with the timelines of open sagas and the ends of all logs.
async fn on_stack(
    options: &[With],
    spec: impl AsyncFnOnce(&mut Stack) -> Result<()>,
) -> Result<()> {
    let mut stack = Stack::start(options).await?;
    let kept = spec(&mut stack).await;
    stack.explain(kept).await?;
    stack.assert_conserved().await
}
