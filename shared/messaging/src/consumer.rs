use crate::{
    Amqp, Delivery, Topology,
    outgoing::now_in_ms,
    session::{Ended, Session},
};
use metrics::{Counter, Histogram};
use runtime::{health::Part, resilience::Backoff, shutdown::Shutdown};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::timeout,
};

/// A pause takes effect within the time of one cancel; longer than this, the connection is gone.
const PAUSE_LIMIT: Duration = Duration::from_secs(6);
/// A session that lasted this long was a good one: the next reconnect starts quickly again.
const GOOD: Duration = Duration::from_secs(10);

/// Takes messages from one queue and hands them out in batches, across reconnects, restarts of
/// the broker, and a queue that was deleted and declared again.
pub struct Consumer {
    shared: Arc<Shared>,
    wanted: watch::Sender<Wanted>,
    task: tokio::sync::Mutex<Option<JoinHandle<()>>>,
    shutdown: Shutdown,
}

pub(crate) struct Shared {
    pub(crate) amqp: Amqp,
    pub(crate) queue: String,
    pub(crate) topology: Topology,
    pub(crate) prefetch: u16,
    pub(crate) part: Part,
    buffer: Mutex<VecDeque<Delivery>>,
    arrived: Notify,
    consumed: Counter,
    waited: Histogram,
    /// Whether messages are being taken from the queue right now.
    pub(crate) consuming: watch::Sender<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Messages,
    Pause,
    /// Finish what is handed out, then close.
    End,
}

impl Consumer {
    /// Connects in the background, declares `topology` on every new connection, and takes up to
    /// `prefetch` messages ahead. `part` is up while there is a connection.
    pub fn start(
        amqp: &Amqp,
        queue: impl Into<String>,
        topology: Topology,
        prefetch: u16,
        part: Part,
        shutdown: &Shutdown,
    ) -> Consumer {
        let queue = queue.into();
        let shared = Arc::new(Shared {
            amqp: amqp.clone(),
            consumed: metrics::counter!("messages_consumed_total", "queue" => queue.clone()),
            waited: metrics::histogram!("queue_wait_seconds", "queue" => queue.clone()),
            queue,
            topology,
            prefetch,
            part,
            buffer: Mutex::default(),
            arrived: Notify::new(),
            consuming: watch::Sender::new(false),
        });
        let (wanted, wish) = watch::channel(Wanted::Messages);
        let task = tokio::spawn(supervise(shared.clone(), wish, shutdown.clone()));
        let task = tokio::sync::Mutex::new(Some(task));
        Consumer { shared, wanted, task, shutdown: shutdown.clone() }
    }

    /// Whatever is there, at least one message and at most `max`; waits when there is none, and
    /// while paused. `None` once shutdown has begun.
    pub async fn next_batch(&self, max: usize) -> Option<Vec<Delivery>> {
        loop {
            if self.shutdown.is_begun() {
                return None;
            }
            if !self.is_paused()
                && let Some(batch) = self.shared.take(max.max(1))
            {
                self.shared.count(&batch);
                return Some(batch);
            }
            tokio::select! {
                () = self.shared.arrived.notified() => {}
                () = self.shutdown.begun() => return None,
            }
        }
    }

    /// Stops taking messages and gives back those that were not handed out yet. Deliveries that
    /// were handed out can be settled as ever. Returns when it has taken effect.
    pub async fn pause(&self) {
        self.wish(Wanted::Pause);
        let mut consuming = self.shared.consuming.subscribe();
        // Late only when the connection hangs; it is being thrown away then, and pauses that way.
        let _ = timeout(PAUSE_LIMIT, consuming.wait_for(|consuming| !*consuming)).await;
    }

    /// Takes messages again.
    pub fn resume(&self) {
        self.wish(Wanted::Messages);
        self.shared.arrived.notify_one();
    }

    pub fn is_paused(&self) -> bool {
        *self.wanted.borrow() == Wanted::Pause
    }

    /// Waits until every delivery handed out is settled and the broker knows, then closes the
    /// connection; at most 10 s. What is not settled by then is redelivered.
    pub async fn close(&self) {
        self.wanted.send_replace(Wanted::End);
        if let Some(task) = self.task.lock().await.take() {
            // Bounded by the session's own limits.
            let _ = task.await;
        }
    }

    fn wish(&self, wanted: Wanted) {
        self.wanted.send_if_modified(|now| {
            let change = *now != Wanted::End && *now != wanted;
            if change {
                *now = wanted;
            }
            change
        });
    }
}

impl Shared {
    pub(crate) fn arrived(&self, deliveries: impl IntoIterator<Item = Delivery>) {
        self.buffer().extend(deliveries);
        self.arrived.notify_one();
    }

    fn take(&self, max: usize) -> Option<Vec<Delivery>> {
        let mut buffer = self.buffer();
        let size = buffer.len().min(max);
        let batch: Vec<_> = buffer.drain(..size).collect();
        if !buffer.is_empty() {
            self.arrived.notify_one();
        }
        (!batch.is_empty()).then_some(batch)
    }

    fn count(&self, batch: &[Delivery]) {
        self.consumed.increment(u64::try_from(batch.len()).unwrap_or(u64::MAX));
        let now = now_in_ms();
        for waited in batch.iter().filter_map(|delivery| delivery.incoming.waited(now)) {
            self.waited.record(waited);
        }
    }

    /// Everything that is not handed out yet.
    pub(crate) fn drain(&self) -> VecDeque<Delivery> {
        std::mem::take(&mut *self.buffer())
    }

    fn buffer(&self) -> MutexGuard<'_, VecDeque<Delivery>> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One session after the other, until the consumer is closed, dropped, or shutdown has begun.
async fn supervise(shared: Arc<Shared>, mut wanted: watch::Receiver<Wanted>, shutdown: Shutdown) {
    let mut delays = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
    let name = format!("consumer {}", shared.queue);
    let reconnects = metrics::counter!("broker_reconnects_total", "connection" => name);
    for turn in 0.. {
        let began = Instant::now();
        let reason = match Session::open(&shared, turn).await {
            Ok(session) => match session.run(&mut wanted, &shutdown).await {
                Ended::Wanted => break,
                Ended::Lost(reason) => reason,
            },
            Err(error) => error.to_string(),
        };
        tracing::warn!(queue = shared.queue, reason, "consumer lost its connection");
        shared.part.down(reason);
        reconnects.increment(1);
        if began.elapsed() > GOOD {
            delays.reset();
        }
        tokio::select! {
            () = delays.wait() => {}
            () = shutdown.begun() => break,
            ended = wanted.wait_for(|wanted| *wanted == Wanted::End) => {
                // Closed, or dropped: either way nobody waits for messages any more.
                let _ = ended;
                break;
            }
        }
    }
}
