//! Everybody's books against each other, when all cells are over.

use crate::ground::Ground;
use anyhow::{Context, Result, bail, ensure};
use std::{env, process::Stdio, time::Duration};
use tokio::{process::Command, time::timeout};

const LIMIT: Duration = Duration::from_secs(60);

/// By the auditor of the command line tool, if it is built; what it printed. By the invariants of
/// the tests otherwise.
pub async fn audit(ground: &Ground) -> Result<String> {
    ground.conserved().await?;
    ground
        .until("the queues to be empty", async || {
            let left = ground.routes.left().await?;
            ensure!(left.is_none(), "{}", left.unwrap_or_default());
            Ok(())
        })
        .await?;
    let tool = env::current_exe()?.with_file_name("sagactl");
    if !tool.is_file() {
        return Ok("stock and money are conserved".to_owned());
    }
    let mut command = Command::new(tool);
    command.args(["audit", "--settle", "5s"]).envs(ground.books().await?).stdin(Stdio::null());
    let ended = timeout(LIMIT, command.kill_on_drop(true).output()).await;
    let ended = ended.context("the auditor takes too long")??;
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    match ended.status.success() {
        true => Ok(said),
        false => bail!("the auditor found:\n{said}{}", String::from_utf8_lossy(&ended.stderr)),
    }
}
