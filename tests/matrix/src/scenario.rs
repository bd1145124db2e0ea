//! What happens in each column.

mod answers;
mod broker;
mod deaths;
mod repetition;
mod silence;

use crate::{case::Scene, fault::Fault};
use anyhow::Result;

/// Drives an order through the fault, and verifies what became of it.
pub async fn run(scene: &Scene<'_>, fault: Fault) -> Result<()> {
    let case = match fault {
        Fault::Refuse => answers::refuse(scene).await?,
        Fault::Faulted => answers::fault(scene).await?,
        Fault::Poison => answers::poison(scene).await?,
        Fault::TimeoutWithEffect => silence::timeout(scene, "orchestrator.received").await?,
        Fault::TimeoutWithoutEffect => silence::timeout(scene, "worker.received").await?,
        Fault::LateReply => silence::late_reply(scene).await?,
        Fault::UndoBeforeDo => silence::undo_before_do(scene).await?,
        Fault::DuplicateCommand => repetition::command(scene).await?,
        Fault::DuplicateReply => repetition::reply(scene).await?,
        Fault::Unroutable => broker::unroutable(scene).await?,
        Fault::ConnectionCut => broker::cut(scene).await?,
        // The intent first, and then what came of the call.
        Fault::WorkerBeforeCommit if scene.row.is_outside() => {
            deaths::at(scene, ["worker.before-commit", "worker.after-call"]).await?
        }
        Fault::WorkerBeforeCommit => deaths::at(scene, ["worker.before-commit"]).await?,
        Fault::WorkerAfterCommit => deaths::at(scene, ["worker.after-commit"]).await?,
        Fault::WorkerAfterPublish => deaths::at(scene, ["worker.after-publish"]).await?,
        Fault::OrchestratorBeforeCommit => {
            deaths::at(scene, ["orchestrator.before-commit"]).await?
        }
        Fault::OrchestratorAfterCommit => deaths::at(scene, ["orchestrator.after-commit"]).await?,
        Fault::OrchestratorAfterConfirm => {
            deaths::at(scene, ["orchestrator.after-confirm"]).await?
        }
    };
    case.verify().await
}
