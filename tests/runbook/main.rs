//! docs/runbook.md, walked as a person would: the fault is made, what the page says is seen is looked
//! for, what it says to type is typed, and what it calls the sign of being healed is waited for. A line
//! that is typed here must stand in the section, and so must a phrase that is looked for.
//!
//! Every walk has a stack of its own and ends with an audit of everybody's books.

mod broker;
mod database;
mod deadline;
mod desk;
mod letters;
mod outside;
mod parking;
mod verbs;
mod workers;

use anyhow::Result;
use desk::Desk;
use testkit::{Stack, With};

/// One attempt each, so that a saga parks at the first failure.
const ONE_ATTEMPT: [With; 3] = [
    With::Env("orchestrator", "SAGA_STEP_ATTEMPTS", "1"),
    With::Env("payment", "WORKER_RETRIES", "0"),
    With::Env("shipping", "WORKER_RETRIES", "0"),
];

/// Walks through the section of this title.
async fn walk(
    title: &str,
    options: &[With],
    steps: impl AsyncFnOnce(&mut Stack, &mut Desk) -> Result<()>,
) -> Result<()> {
    let mut stack = Stack::start(options).await?;
    let mut desk = Desk::at(&stack, title)?;
    let walked = steps(&mut stack, &mut desk).await;
    stack.explain(walked).await?;
    desk.is_clean(&stack).await.map(drop)
}
