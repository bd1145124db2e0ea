//! A steady stream of orders, bounded, and the client's log of what it was told.

mod client;
mod mix;

pub use client::{Entry, Told};
pub use mix::{Kind, SECRETS};

use crate::{ground::Ground, pace::Pace};
use anyhow::Result;
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use testkit::Random;
use tokio::{
    sync::{Semaphore, watch},
    task::{JoinHandle, JoinSet},
    time::{MissedTickBehavior, interval, timeout},
};
use uuid::Uuid;

/// Submissions that have no answer yet.
const MOST_UNANSWERED: usize = 100;
/// Orders that have not ended are at most those of so many seconds, so that a machine with too
/// little time gets fewer orders instead of an ever longer queue.
const SECONDS_OPEN: i64 = 6;

/// Places orders until it is told to stop.
pub struct Load {
    shared: Arc<Shared>,
    placing: JoinHandle<JoinSet<()>>,
    running: watch::Sender<bool>,
}

struct Shared {
    ground: Arc<Ground>,
    pace: Arc<Pace>,
    /// Of this load; a part of every idempotency key.
    id: Uuid,
    log: Mutex<Vec<Entry>>,
    accepted: AtomicUsize,
    held_back: AtomicUsize,
    /// Sagas that had ended before.
    ended_before: i64,
    running: watch::Receiver<bool>,
}

impl Load {
    /// So many orders a second, of kinds that the random numbers decide.
    pub fn start(ground: &Arc<Ground>, pace: &Arc<Pace>, rate: u32, random: Random) -> Self {
        let (running, run) = watch::channel(true);
        let shared = Arc::new(Shared {
            ground: Arc::clone(ground),
            pace: Arc::clone(pace),
            id: Uuid::new_v4(),
            log: Mutex::default(),
            accepted: AtomicUsize::new(0),
            held_back: AtomicUsize::new(0),
            ended_before: pace.ended(),
            running: run,
        });
        let placing = tokio::spawn(place(Arc::clone(&shared), rate, random));
        Load { shared, placing, running }
    }

    /// Orders that were accepted so far.
    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Orders that were not placed because too many were unanswered or open.
    pub fn held_back(&self) -> usize {
        self.shared.held_back.load(Ordering::SeqCst)
    }

    /// Places no more, and insists on an answer for each that was placed, up to `limit`. What has
    /// none then stays unknown.
    pub async fn finish(self, limit: Duration) -> Result<Vec<Entry>> {
        self.running.send_replace(false);
        let mut placed = self.placing.await?;
        let all = async { while placed.join_next().await.is_some() {} };
        let _ = timeout(limit, all).await;
        drop(placed);
        let mut log = self.shared.log.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::take(&mut *log))
    }
}

impl Shared {
    /// Accepted orders whose sagas have not ended.
    fn open(&self) -> i64 {
        let accepted = i64::try_from(self.accepted.load(Ordering::SeqCst)).unwrap_or(i64::MAX);
        accepted - (self.pace.ended() - self.ended_before)
    }
}

async fn place(shared: Arc<Shared>, rate: u32, mut random: Random) -> JoinSet<()> {
    let room = Arc::new(Semaphore::new(MOST_UNANSWERED));
    let mut ticks = interval(Duration::from_secs(1) / rate.max(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut running = shared.running.clone();
    let mut placed = JoinSet::new();
    for number in 0.. {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = running.wait_for(|running| !running) => break,
        }
        while placed.try_join_next().is_some() {}
        let open = shared.open() < SECONDS_OPEN * i64::from(rate);
        let Some(room) = Arc::clone(&room).try_acquire_owned().ok().filter(|_| open) else {
            shared.held_back.fetch_add(1, Ordering::SeqCst);
            continue;
        };
        let (shared, random) = (Arc::clone(&shared), random.fork());
        placed.spawn(async move {
            client::order(&shared, number, random).await;
            drop(room);
        });
    }
    placed
}
