//! The node that leads a queue.

use super::{BETWEEN, Ground};
use anyhow::{Context, Result, bail};
use reqwest::Method;
use serde_json::Value;
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

/// The node that leads the queue now, as any node says that answers.
pub(super) async fn led_by(ground: &Ground, queue: &str) -> Option<String> {
    described(ground, queue).await?["leader"].as_str().map(str::to_owned)
}

async fn described(ground: &Ground, queue: &str) -> Option<Value> {
    let path = format!("queues/{{vhost}}/{queue}");
    for node in 0..ground.nodes() {
        if let Ok(said) = ground.manage(Method::GET, node, &path).await {
            return Some(said);
        }
    }
    None
}

async fn leader(ground: &Ground, queue: &str) -> Result<usize> {
    let said = described(ground, queue).await.context("no node answers")?;
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
