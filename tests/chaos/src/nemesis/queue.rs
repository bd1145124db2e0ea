//! A queue, with all that is in it.

use super::{BETWEEN, Ground};
use anyhow::Result;
use futures_util::future::try_join_all;
use reqwest::Method;
use std::time::{Duration, Instant};

/// For something to be in it. What the management API says lags by up to five seconds.
const LIMIT: Duration = Duration::from_secs(15);

pub(super) async fn delete(ground: &Ground, queue: &str) -> Result<()> {
    ground.manage(Method::DELETE, 0, &path(queue)).await.map(drop)
}

/// Kills whoever consumes it, waits until something is in it, and deletes it. How much there was, if
/// anything.
pub(super) async fn lose(ground: &Ground, queue: &str) -> Result<Option<String>> {
    try_join_all(consumers(ground, queue).map(|process| ground.kill(process))).await?;
    let began = Instant::now();
    let mut waiting = 0;
    while waiting == 0 && began.elapsed() < LIMIT {
        tokio::time::sleep(BETWEEN).await;
        let said = ground.manage(Method::GET, 0, &path(queue)).await?;
        waiting = said["messages"].as_u64().unwrap_or(0);
    }
    delete(ground, queue).await?;
    Ok((waiting > 0).then(|| format!("{waiting} messages were in it")))
}

pub(super) async fn consume_again(ground: &Ground, queue: &str) -> Result<()> {
    try_join_all(consumers(ground, queue).map(|process| ground.start_again(process))).await?;
    Ok(())
}

/// All instances of the service that the queue is named after.
fn consumers<'a>(ground: &'a Ground, queue: &'a str) -> impl Iterator<Item = &'a str> {
    let owner = queue.split_once('.').map_or(queue, |(owner, _)| owner);
    ground.instances(owner)
}

fn path(queue: &str) -> String {
    format!("queues/{{vhost}}/{queue}")
}
