//! Spans on their way out. They wait in a queue with an end to it, and a thread of its own sends
//! them: no collector, however slow or gone, is ever waited for by what is traced.

use super::{Context, Kind, Value, settings::Settings};
use opentelemetry::{
    InstrumentationScope, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{Link, SpanContext, SpanKind, Status, TraceState},
};
use opentelemetry_otlp::{SpanExporter as Otlp, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks},
};
use std::{
    borrow::Cow,
    env, io,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, SystemTime},
};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::timeout,
};
use uuid::Uuid;

/// For what is left at the end of a process.
const FLUSH: Duration = Duration::from_secs(3);

/// A span that has ended.
pub(super) struct Ended {
    pub(super) name: Cow<'static, str>,
    pub(super) kind: Kind,
    pub(super) context: Context,
    /// 0 if there is none.
    pub(super) parent: u64,
    pub(super) began: SystemTime,
    pub(super) ended: SystemTime,
    pub(super) attributes: Vec<(&'static str, Value)>,
    pub(super) links: Vec<Context>,
    pub(super) error: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("the OTEL_EXPORTER_OTLP_… variables do not make an exporter")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    #[error(transparent)]
    Client(#[from] crate::http_client::Error),
    #[error("there is no thread to export from")]
    Thread(#[from] io::Error),
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
    spans: Vec<Ended>,
    dropped: u64,
}

impl Exporter {
    pub(super) fn start(service: &'static str, settings: &Settings) -> Result<Exporter, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // Its connections live on the runtime that they were made on.
        let client = {
            let _inside = runtime.enter();
            crate::http_client::client()?
        };
        let mut otlp = Otlp::builder()
            .with_http()
            .with_http_client(client)
            .with_timeout(settings.timeout)
            .build()?;
        otlp.set_resource(&resource(service));
        let queue = Arc::new(Queue {
            waiting: Mutex::default(),
            full: Notify::new(),
            most: settings.queue,
            batch: settings.batch,
        });
        let (flushes, asked) = mpsc::unbounded_channel();
        let sender = Sender {
            otlp,
            queue: Arc::clone(&queue),
            scope: InstrumentationScope::builder("saga-orchestrator")
                .with_version(env!("CARGO_PKG_VERSION"))
                .build(),
            delay: settings.delay,
            timeout: settings.timeout,
            failing: false,
        };
        thread::Builder::new()
            .name("trace-export".to_owned())
            .spawn(move || runtime.block_on(sender.run(asked)))?;
        Ok(Exporter { queue, flushes })
    }

    /// Never waits. When the queue is full the span is dropped, and counted.
    pub(super) fn take(&self, span: Ended) {
        let mut waiting = self.queue.waiting();
        if waiting.spans.len() >= self.queue.most {
            waiting.dropped += 1;
            return;
        }
        waiting.spans.push(span);
        let full = waiting.spans.len() == self.queue.batch;
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
    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all(&self) -> Waiting {
        std::mem::take(&mut *self.waiting())
    }
}

/// The thread's own.
struct Sender {
    otlp: Otlp,
    queue: Arc<Queue>,
    scope: InstrumentationScope,
    delay: Duration,
    timeout: Duration,
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
            self.send().await;
            if let Some(asked) = asked {
                let _ = asked.send(());
            }
        }
    }

    /// Whatever waits now.
    async fn send(&mut self) {
        let Waiting { spans, dropped } = self.queue.all();
        lost("queue-full", dropped);
        let mut spans = spans.into_iter().map(|span| data(span, &self.scope)).peekable();
        while spans.peek().is_some() {
            let batch: Vec<SpanData> = spans.by_ref().take(self.queue.batch).collect();
            let size = batch.len() as u64;
            // Its own limit is for one request; it may make several.
            let error = match timeout(self.timeout, self.otlp.export(batch)).await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some(format!("no answer within {:?}", self.timeout)),
            };
            match &error {
                None => metrics::counter!("trace_spans_exported_total").increment(size),
                Some(_) => lost("not-taken", size),
            }
            match error {
                Some(error) if !self.failing => {
                    tracing::warn!(error, "spans are not taken by the collector, and lost");
                    self.failing = true;
                }
                None if self.failing => {
                    tracing::info!("spans are taken by the collector again");
                    self.failing = false;
                }
                _ => {}
            }
        }
    }
}

fn lost(reason: &'static str, spans: u64) {
    if spans > 0 {
        metrics::counter!("trace_spans_dropped_total", "reason" => reason).increment(spans);
    }
}

/// With what `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say.
fn resource(service: &'static str) -> Resource {
    let resource = Resource::builder().with_attributes([
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", Uuid::new_v4().to_string()),
    ]);
    match env::var("OTEL_SERVICE_NAME").is_ok_and(|name| !name.is_empty()) {
        true => resource.build(),
        false => resource.with_service_name(service).build(),
    }
}

fn data(span: Ended, scope: &InstrumentationScope) -> SpanData {
    let attribute = |(key, value)| match value {
        Value::Text(Cow::Borrowed(text)) => KeyValue::new(key, text),
        Value::Text(Cow::Owned(text)) => KeyValue::new(key, text),
        Value::Number(number) => KeyValue::new(key, number),
    };
    let mut links = SpanLinks::default();
    links.links = span.links.iter().map(|to| Link::with_context(remote(*to))).collect();
    SpanData {
        span_context: remote(span.context),
        parent_span_id: SpanId::from(span.parent),
        parent_span_is_remote: false,
        span_kind: match span.kind {
            Kind::Internal => SpanKind::Internal,
            Kind::Server => SpanKind::Server,
            Kind::Client => SpanKind::Client,
            Kind::Producer => SpanKind::Producer,
            Kind::Consumer => SpanKind::Consumer,
        },
        name: span.name,
        start_time: span.began,
        end_time: span.ended,
        attributes: span.attributes.into_iter().map(attribute).collect(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links,
        status: span.error.map_or(Status::Unset, Status::error),
        instrumentation_scope: scope.clone(),
    }
}

fn remote(context: Context) -> SpanContext {
    SpanContext::new(
        TraceId::from(context.trace),
        SpanId::from(context.span),
        TraceFlags::SAMPLED,
        false,
        TraceState::default(),
    )
}
