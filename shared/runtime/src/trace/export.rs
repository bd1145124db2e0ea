//! Spans on their way out. They wait in a queue with an end to it, and a thread of its own sends
//! them: no collector, however slow or gone, is ever waited for by what is traced.

use super::{
    proto::{self, Body, Envelope},
    settings::{Collector, Settings},
};
use crate::{
    http_client,
    resilience::{Retry, retry},
};
use axum::body::Bytes;
use reqwest::{StatusCode, header::CONTENT_TYPE};
use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::timeout,
};

/// For what is left at the end of a process.
const FLUSH: Duration = Duration::from_secs(3);
/// Of one request, where the collector is away or asks for it.
const TRIES: u32 = 3;

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Client(#[from] http_client::Error),
    #[error("there is no thread to export from")]
    Thread(#[from] io::Error),
}

/// Why a request was in vain.
#[derive(Debug, thiserror::Error)]
enum NotTaken {
    #[error("the collector gives no answer")]
    Unreachable(#[source] reqwest::Error),
    #[error("the collector answers {0}")]
    Refused(StatusCode),
}

pub(super) struct Exporter {
    queue: Arc<Queue>,
    flushes: mpsc::UnboundedSender<oneshot::Sender<()>>,
}

struct Queue {
    waiting: Mutex<Waiting>,
    /// A whole batch waits.
    full: Notify,
    most: usize,
    batch: usize,
}

#[derive(Default)]
struct Waiting {
    batches: VecDeque<Batch>,
    spans: usize,
}

/// What goes into one request.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    spans: usize,
}

impl Exporter {
    pub(super) fn start(settings: &Settings, envelope: Envelope) -> Result<Exporter, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let queue = Arc::new(Queue {
            waiting: Mutex::default(),
            full: Notify::new(),
            most: settings.queue,
            batch: settings.batch,
        });
        let (flushes, asked) = mpsc::unbounded_channel();
        let sender = Sender {
            queue: Arc::clone(&queue),
            client: http_client::client()?,
            collector: settings.collector.clone(),
            envelope,
            delay: settings.delay,
            failing: false,
        };
        thread::Builder::new()
            .name("trace-export".to_owned())
            .spawn(move || runtime.block_on(sender.run(asked)))?;
        Ok(Exporter { queue, flushes })
    }

    /// Never waits. When the queue is full the span is dropped, and counted.
    pub(super) fn take(&self, span: &Body) {
        let mut waiting = self.queue.waiting();
        if waiting.spans >= self.queue.most {
            drop(waiting);
            return lost("queue-full", 1);
        }
        waiting.spans += 1;
        if waiting.batches.back().is_none_or(|last| last.spans >= self.queue.batch) {
            waiting.batches.push_back(Batch::default());
        }
        let Some(batch) = waiting.batches.back_mut() else { return };
        proto::add(&mut batch.bytes, span);
        batch.spans += 1;
        let full = batch.spans == self.queue.batch;
        drop(waiting);
        if full {
            self.queue.full.notify_one();
        }
    }

    pub(super) async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        let asked = self.flushes.send(done).is_ok();
        if !asked || !matches!(timeout(FLUSH, flushed).await, Ok(Ok(()))) {
            tracing::warn!(limit_s = FLUSH.as_secs(), "the last spans were not exported in time");
        }
    }
}

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The oldest.
    fn next(&self) -> Option<Batch> {
        let mut waiting = self.waiting();
        let batch = waiting.batches.pop_front()?;
        waiting.spans -= batch.spans;
        Some(batch)
    }
}

/// The thread's own.
struct Sender {
    queue: Arc<Queue>,
    client: reqwest::Client,
    collector: Collector,
    envelope: Envelope,
    delay: Duration,
    /// Told once, not for every batch.
    failing: bool,
}

impl Sender {
    /// As long as the process lives.
    async fn run(mut self, mut flushes: mpsc::UnboundedReceiver<oneshot::Sender<()>>) {
        loop {
            let asked = tokio::select! {
                biased;
                asked = flushes.recv() => match asked {
                    Some(asked) => Some(asked),
                    None => return,
                },
                () = self.queue.full.notified() => None,
                () = tokio::time::sleep(self.delay) => None,
            };
            self.send_all().await;
            if let Some(asked) = asked {
                let _ = asked.send(());
            }
        }
    }

    /// Whatever waits now.
    async fn send_all(&mut self) {
        while let Some(batch) = self.queue.next() {
            let spans = batch.spans as u64;
            match self.send(&batch).await {
                Ok(()) => {
                    metrics::counter!("trace_spans_exported_total").increment(spans);
                    if std::mem::take(&mut self.failing) {
                        tracing::info!("spans are taken by the collector again");
                    }
                }
                Err(error) => {
                    lost("not-taken", spans);
                    if !std::mem::replace(&mut self.failing, true) {
                        let cause = std::error::Error::source(&error).map(ToString::to_string);
                        tracing::warn!(%error, cause, "spans are not taken, and lost");
                    }
                }
            }
        }
    }

    async fn send(&self, batch: &Batch) -> Result<(), NotTaken> {
        let Collector { timeout: limit, .. } = self.collector;
        let request = Bytes::from(self.envelope.around(&batch.bytes));
        let policy = Retry {
            attempts: TRIES,
            first: Duration::from_millis(100),
            max: Duration::from_secs(1),
            budget: limit,
        };
        retry(policy, NotTaken::is_transient, || self.post(request.clone())).await
    }

    async fn post(&self, request: Bytes) -> Result<(), NotTaken> {
        let Collector { url, headers, timeout: limit } = &self.collector;
        let post = self.client.post(url.clone()).headers(headers.clone()).timeout(*limit);
        let post = post.header(CONTENT_TYPE, "application/x-protobuf").body(request);
        let answer = post.send().await;
        let answer = answer.map_err(|error| NotTaken::Unreachable(error.without_url()))?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(NotTaken::Refused(status)),
        }
    }
}

impl NotTaken {
    /// By the protocol these are worth another try, and no other answer is. One that did not come
    /// in time has had all the time there is.
    fn is_transient(&self) -> bool {
        match self {
            NotTaken::Unreachable(error) => !error.is_timeout(),
            NotTaken::Refused(status) => {
                matches!(status.as_u16(), 429 | 502 | 503 | 504)
            }
        }
    }
}

fn lost(reason: &'static str, spans: u64) {
    if spans > 0 {
        metrics::counter!("trace_spans_dropped_total", "reason" => reason).increment(spans);
    }
}
