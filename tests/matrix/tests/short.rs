//! What a test has time for: a diagonal through the matrix, and proof that it can turn red.

use anyhow::{Result, ensure};
use matrix::{audit, ground::Ground, order_saga, runner, sabotage, selection::diagonal};
use runtime::sabotage::Safety;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);
const SEED: u64 = 1;

#[tokio::test(flavor = "multi_thread")]
async fn an_order_ends_as_it_must_whatever_goes_wrong_with_it() -> Result<()> {
    let rows = order_saga();
    let cells = diagonal(&rows);
    ensure!(cells.len() >= 15, "only {} cells", cells.len());
    let ground = Ground::start(None, PATIENCE).await?;
    let outcomes = runner::run(&ground, &cells, SEED, &|_| {}).await;
    let mut stories = String::new();
    for outcome in &outcomes {
        stories += &runner::explain(&ground, outcome).await;
    }
    let audited = audit::audit(&ground).await;
    ground.close().await;
    ensure!(stories.is_empty(), "{stories}");
    audited.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_without_its_inbox_or_its_barrier_is_noticed() -> Result<()> {
    let rows = order_saga();
    for safety in [Safety::Inbox, Safety::Barrier] {
        for outcome in sabotage::without(safety, &rows, SEED).await? {
            let (cell, name) = (outcome.cell, safety.as_str());
            ensure!(outcome.result.is_err(), "{cell} is green without the {name}");
        }
    }
    Ok(())
}
