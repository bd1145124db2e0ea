//! The node that leads a queue.

use super::{BETWEEN, Ground};
use anyhow::{Context, Result, bail};
use reqwest::Method;
use std::time::{Duration, Instant};

/// What the management API says lags by up to five seconds.
const LIMIT: Duration = Duration::from_secs(15);

/// Its number among the nodes.
pub(super) async fn kill_leader(ground: &Ground, queue: &str) -> Result<usize> {
    let began = Instant::now();
    loop {
        match leader(ground, queue).await {
            Ok(node) => {
                ground.node(node, "kill").await?;
                return Ok(node);
            }
            Err(error) if began.elapsed() > LIMIT => return Err(error),
            Err(_) => tokio::time::sleep(BETWEEN).await,
        }
    }
}

async fn leader(ground: &Ground, queue: &str) -> Result<usize> {
    let said = ground.manage(Method::GET, 0, &format!("queues/{{vhost}}/{queue}")).await?;
    let leader = said["leader"].as_str().context("nobody leads it")?;
    let online = said["online"].as_array().map_or(0, Vec::len);
    anyhow::ensure!(online == ground.nodes(), "only {online} nodes have it");
    for node in 0..ground.nodes() {
        if ground.manage(Method::GET, node, "overview").await?["node"] == leader {
            return Ok(node);
        }
    }
    bail!("{leader} is none of the nodes")
}
