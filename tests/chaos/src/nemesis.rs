//! Inflicts a fault, looks whether anybody notices it, and heals it.

mod cluster;
mod network;
mod outside;
mod queue;
mod signs;

use crate::{
    fault::{Fault, Peer, Trouble},
    ground::Ground,
    timeline::Strike,
};
use anyhow::{Context, Result};
use signs::Signs;
use std::time::{Duration, Instant};
use tokio::time::{sleep, sleep_until};

/// Between two looks.
const BETWEEN: Duration = Duration::from_millis(200);
/// Some things are noticed only when it is over: that connections were lost, for example.
const AFTERWARDS: Duration = Duration::from_secs(8);

/// The fault, for as long as told and healed again. Fails when it cannot be inflicted or healed.
pub async fn strike(
    ground: &Ground,
    fault: &Fault,
    hold: Duration,
    began: Instant,
) -> Result<Strike> {
    let signs = Signs::before(ground, fault).await;
    let at = began.elapsed();
    let from = Instant::now();
    let inflicted = inflict(ground, fault).await;
    let Hit { node, mut seen } =
        inflicted.with_context(|| format!("{fault} cannot be inflicted"))?;
    let until = tokio::time::Instant::now() + hold;
    let mut cut_at = Instant::now();
    while tokio::time::Instant::now() < until {
        if seen.is_none() {
            seen = signs.seen(ground, fault).await;
        }
        if let Fault::Network(peer, Trouble::Cut) = fault
            && cut_at.elapsed() > network::CUT_EVERY
        {
            network::cut(ground, *peer)?;
            cut_at = Instant::now();
        }
        sleep_until(until.min(tokio::time::Instant::now() + BETWEEN)).await;
    }
    heal(ground, fault, node).await.with_context(|| format!("{fault} cannot be healed"))?;
    let lasted = from.elapsed();
    let healed = Instant::now();
    while seen.is_none() && healed.elapsed() < AFTERWARDS {
        sleep(BETWEEN).await;
        seen = signs.seen(ground, fault).await;
    }
    Ok(Strike { fault: fault.clone(), at, lasted, seen, healed, recovery: None })
}

/// What is known of a fault as soon as it is there.
#[derive(Default)]
struct Hit {
    /// Of a cluster.
    node: Option<usize>,
    /// How it was noticed at once.
    seen: Option<String>,
}

async fn inflict(ground: &Ground, fault: &Fault) -> Result<Hit> {
    match fault {
        Fault::Killed(process) => ground.kill(process).await?,
        Fault::Frozen(process) => ground.freeze(process).await?,
        Fault::BrokerKilled => ground.server("rabbitmq", "kill").await?,
        Fault::DatabaseKilled => ground.server("postgres", "kill").await?,
        Fault::MemoryAlarm => watermark(ground, "0.00001").await?,
        Fault::QueueDeleted(queue) => queue::delete(ground, queue).await?,
        Fault::QueueLost(queue) => {
            let seen = queue::lose(ground, queue).await?;
            return Ok(Hit { seen, ..Hit::default() });
        }
        Fault::Network(peer, trouble) => network::disturb(ground, *peer, *trouble)?,
        Fault::Outside(who, mood) => outside::set(ground, *who, Some(*mood)).await?,
        Fault::ClockJumped(hours) => drop(ground.set_clocks(*hours)?),
        Fault::LeaderKilled(queue) => {
            let node = Some(cluster::kill_leader(ground, queue).await?);
            return Ok(Hit { node, ..Hit::default() });
        }
    }
    Ok(Hit::default())
}

async fn heal(ground: &Ground, fault: &Fault, node: Option<usize>) -> Result<()> {
    match fault {
        Fault::Killed(process) => ground.start_again(process).await,
        Fault::Frozen(process) => ground.thaw(process).await,
        Fault::BrokerKilled => ground.server("rabbitmq", "start").await,
        Fault::DatabaseKilled => ground.server("postgres", "start").await,
        Fault::MemoryAlarm => watermark(ground, "0.6").await,
        // By whoever consumes it.
        Fault::QueueDeleted(_) => Ok(()),
        Fault::QueueLost(queue) => queue::consume_again(ground, queue).await,
        Fault::Network(peer, _) => network::calm(ground, *peer),
        Fault::Outside(who, _) => outside::set(ground, *who, None).await,
        Fault::ClockJumped(_) => ground.set_clocks(0).map(drop),
        Fault::LeaderKilled(_) => ground.node(node.context("no node was killed")?, "start").await,
    }
}

async fn watermark(ground: &Ground, share: &str) -> Result<()> {
    ground.rabbitmqctl(&["set_vm_memory_high_watermark", share]).await
}
