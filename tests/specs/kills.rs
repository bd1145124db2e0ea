//! Any process, at any time.

use crate::{load, on_stack};
use anyhow::{Context, Result, ensure};
use std::time::Duration;
use testkit::{Random, SERVICES};
use tokio::time::timeout;

/// Kills in a row, each of a process that any number may name.
const KILLS: usize = 3;
const ORDERS: usize = 48;

#[tokio::test]
async fn no_accepted_order_is_lost_when_random_processes_are_killed_under_load() -> Result<()> {
    // The same processes in the same order with `KILLS_SEED=<seed>`.
    let seed = match std::env::var("KILLS_SEED") {
        Ok(seed) => seed.parse().context("KILLS_SEED is a number")?,
        Err(_) => Random::seed_of_now(),
    };
    let mut random = Random::new(seed);
    let victims: Vec<&str> = (0..KILLS).map(|_| SERVICES[random.below(SERVICES.len())]).collect();
    println!("KILLS_SEED={seed}: {victims:?}");
    let told = format!("KILLS_SEED={seed}: {victims:?}");
    on_stack(&[], async |stack| {
        let mut orders = Vec::new();
        for (round, victim) in victims.iter().enumerate() {
            let share = round * ORDERS / KILLS..(round + 1) * ORDERS / KILLS;
            let middle = share.start + random.below(share.len());
            for n in share {
                if n == middle {
                    stack.kill9(victim).await?;
                    stack.launch(victim)?;
                }
                orders.push(load::insist(stack, n).await?);
            }
        }
        ensure!(orders.len() == ORDERS, "{} orders were taken", orders.len());
        stack.wait_all_ready().await?;
        load::end(stack, &orders).await
    })
    .await
    .context(told)
}

#[tokio::test]
async fn a_service_that_is_told_to_stop_under_load_finishes_and_ends_in_order() -> Result<()> {
    on_stack(&[], async |stack| {
        let orders = load::submit(stack, 16).await?;
        for name in ["inventory", "payment", "orchestrator"] {
            let ended = timeout(Duration::from_secs(25), stack.stop(name)).await??;
            ensure!(ended.success(), "{name} ended with {ended}");
            stack.launch(name)?;
        }
        stack.wait_all_ready().await?;
        load::end(stack, &orders).await
    })
    .await
}
