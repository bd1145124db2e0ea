//! `sagactl load`: orders at a steady rate, for a while, and what became of them.

mod clerk;
mod shoppers;
mod tally;

use crate::{
    client::Client,
    everywhere::{Everywhere, Exit},
    progress,
};
use anyhow::{Result, ensure};
use clap::Args;
use clerk::Clerk;
use indicatif::ProgressBar;
use orchestrator::duration;
use shoppers::Shoppers;
use std::{sync::Arc, time::Duration};
use tally::{Placed, Tally};
use tokio::{
    sync::{Semaphore, mpsc},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

const MOST_A_SECOND: u32 = 200;
const LONGEST: Duration = Duration::from_secs(600);
const MOST: u32 = 20_000;
/// Requests under way at once.
const HANDS: usize = 64;

/// Orders of invented customers.
#[derive(Args)]
pub struct Load {
    /// Orders a second, up to 200.
    #[arg(long, value_name = "NUMBER", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_A_SECOND)))]
    rate: u32,
    /// How long, up to 10m.
    #[arg(long = "for", value_name = "DURATION", default_value = "10s")]
    #[arg(value_parser = duration::parse)]
    length: Duration,
    /// How many of a hundred have a card that is declined.
    #[arg(long, value_name = "PERCENT", default_value = "10%", value_parser = percent)]
    declines: u8,
    /// What customers and baskets are made from.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// How long to wait for the last of them to end.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration::parse)]
    settle: Duration,
}

fn percent(text: &str) -> Result<u8, String> {
    let number = text.strip_suffix('%').unwrap_or(text).parse();
    number.ok().filter(|number| *number <= 100).ok_or("it is 0% to 100%".to_owned())
}

impl Load {
    pub async fn run(self, at: &Everywhere) -> Result<Exit> {
        let longest = self.length <= LONGEST && !self.length.is_zero();
        ensure!(longest, "--for is at least a second and at most {} m", LONGEST.as_secs() / 60);
        let orders = u64::from(self.rate) * self.length.as_secs();
        ensure!(orders <= u64::from(MOST), "{orders} orders are too many; {MOST} are the most");
        let (shop, sagas) = (at.orders()?, at.orchestrator()?);
        // Before anything is ordered: is anybody there?
        shop.get(&["orders"], &vec![("limit", "1".to_owned())]).await?;
        sagas.get(&["sagas"], &vec![("limit", "1".to_owned())]).await?;
        let mut clerk = Clerk::new(sagas);
        let mut tally = Tally::default();
        let began = Instant::now();
        self.order(orders, shop, &mut clerk, &mut tally).await;
        tally.took = began.elapsed();
        settle(self.settle, &mut clerk, &mut tally).await;
        at.tell(&tally.report(), |_| tally.text())?;
        Ok(tally.verdict())
    }

    /// Ends early at an interrupt; what was ordered is still counted.
    async fn order(&self, orders: u64, shop: Client, clerk: &mut Clerk, tally: &mut Tally) {
        let bar = progress::bar(orders, "ordering");
        let (done, mut placed) = mpsc::channel(HANDS);
        let shoppers = Shoppers::new(self.seed, self.declines);
        // A task of its own: nothing that is done with what was placed slows the rate.
        let shopping = go_shopping(shop, shoppers, self.rate, orders, bar.clone(), done);
        let shopping = tokio::spawn(shopping);
        let mut look = interval(clerk::BETWEEN);
        let interrupted = tokio::signal::ctrl_c();
        tokio::pin!(interrupted);
        loop {
            tokio::select! {
                one = placed.recv() => match one {
                    Some(one) => tally.placed(one, clerk),
                    None => break,
                },
                _ = look.tick() => clerk.look(tally).await,
                _ = &mut interrupted, if !shopping.is_finished() => shopping.abort(),
            }
        }
        bar.finish_and_clear();
    }
}

async fn go_shopping(
    shop: Client,
    mut shoppers: Shoppers,
    rate: u32,
    orders: u64,
    bar: ProgressBar,
    done: mpsc::Sender<Placed>,
) {
    let hands = Arc::new(Semaphore::new(HANDS));
    let mut beat = interval(Duration::from_secs(1) / rate);
    // Behind its rate it stays behind: a burst would measure something else.
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for placed in 1..=orders {
        beat.tick().await;
        let Ok(hand) = Arc::clone(&hands).acquire_owned().await else { return };
        let (order, key) = shoppers.next();
        let (shop, done) = (shop.clone(), done.clone());
        tokio::spawn(async move {
            let placed = Placed::order(&shop, &order, &key).await;
            // Received until everybody has told.
            let _ = done.send(placed).await;
            drop(hand);
        });
        bar.set_position(placed);
    }
}

async fn settle(limit: Duration, clerk: &mut Clerk, tally: &mut Tally) {
    let until = Instant::now() + limit;
    let bar = progress::bar(tally.accepted(), "ending");
    loop {
        clerk.look(tally).await;
        bar.set_position(tally.ended());
        if clerk.is_idle() || Instant::now() >= until {
            break;
        }
        tokio::select! {
            _ = tokio::signal::ctrl_c() => break,
            () = sleep_until(Instant::now() + clerk::BETWEEN) => {}
        }
    }
    bar.finish_and_clear();
}
