//! Which cells notice that a safety is gone.

use crate::{
    fault::Fault,
    ground::Ground,
    row::Row,
    runner::{self, Outcome},
    selection::{Cell, named},
};
use anyhow::Result;
use runtime::sabotage::Safety;
use std::time::Duration;

/// Far more than any of these cells takes while the safety is on.
const PATIENCE: Duration = Duration::from_secs(8);

/// The cells that must turn red without it.
pub fn noticed_by(safety: Safety, rows: &[Row]) -> Vec<Cell<'_>> {
    let wanted: &[(&str, Fault)] = match safety {
        Safety::Inbox => &[
            ("reserve-stock", Fault::DuplicateCommand),
            ("reserve-stock", Fault::WorkerAfterCommit),
        ],
        Safety::Barrier => {
            &[("reserve-stock", Fault::UndoBeforeDo), ("authorise-payment", Fault::UndoBeforeDo)]
        }
        Safety::AckLast => &[
            ("reserve-stock", Fault::WorkerBeforeCommit),
            ("capture-payment", Fault::OrchestratorBeforeCommit),
        ],
        Safety::Confirm => {
            &[("reserve-stock", Fault::ConnectionCut), ("reserve-stock", Fault::Unroutable)]
        }
        Safety::Wakeup => &[
            ("reserve-stock", Fault::TimeoutWithEffect),
            ("capture-payment", Fault::TimeoutWithoutEffect),
        ],
        Safety::RowLock => {
            &[("reserve-stock", Fault::DuplicateReply), ("confirm-order", Fault::DuplicateReply)]
        }
    };
    named(rows, wanted)
}

/// Runs the cells that must notice, on a system without the safety.
pub async fn without<'a>(safety: Safety, rows: &'a [Row], seed: u64) -> Result<Vec<Outcome<'a>>> {
    patiently(Some(safety), &noticed_by(safety, rows), seed).await
}

/// Runs the cells of all of them on a system with every safety, no more patiently: what turned red
/// without one must be green, or its colour says nothing.
pub async fn control(rows: &[Row], seed: u64) -> Result<Vec<Outcome<'_>>> {
    let cells: Vec<_> = Safety::ALL.iter().flat_map(|safety| noticed_by(*safety, rows)).collect();
    patiently(None, &cells, seed).await
}

async fn patiently<'a>(
    sabotage: Option<Safety>,
    cells: &[Cell<'a>],
    seed: u64,
) -> Result<Vec<Outcome<'a>>> {
    let ground = Ground::start(sabotage, PATIENCE).await?;
    let mut outcomes = Vec::new();
    // One by one: without its safety, a cell may lose what belongs to another.
    for cell in cells {
        outcomes.extend(runner::run(&ground, std::slice::from_ref(cell), seed, &|_| {}).await);
    }
    ground.close().await;
    Ok(outcomes)
}
