//! Traces over OTLP. What others see of them is a [`Context`] (the `traceparent` of W3C) and a
//! [`Span`].
//!
//! Spans are made by hand rather than out of `tracing`'s: messages are handled many in one
//! transaction, and a span per message would have to be entered and left around code that
//! serves all of them. Here a span is a few words in a box, made only for a trace that is
//! sampled, written in OTLP's own bytes while it lives (`proto`), and put into a bounded queue once
//! it has ended (`export`).
//!
//! Off, which is the case unless `OTEL_EXPORTER_OTLP_ENDPOINT` is set, nothing is made: one load of
//! a static tells.

mod ambient;
mod context;
mod export;
mod proto;
mod settings;
mod span;

pub use ambient::{current, note};
pub use context::Context;
pub use span::{Kind, Span, Value};

use export::Exporter;
use proto::Envelope;
use settings::Settings;
use std::sync::OnceLock;

static TRACES: OnceLock<Traces> = OnceLock::new();

struct Traces {
    settings: Settings,
    exporter: Exporter,
}

/// Whether this process makes spans.
pub fn is_on() -> bool {
    TRACES.get().is_some()
}

/// By the environment; called by [`crate::telemetry::init`].
pub(crate) fn init(service: &'static str) {
    if is_on() {
        return;
    }
    let settings = match Settings::from_env() {
        Ok(Some(settings)) => settings,
        Ok(None) => return,
        Err(error) => {
            tracing::error!(%error, "no traces are exported");
            return;
        }
    };
    let envelope = Envelope::new(&settings::resource(service), env!("CARGO_PKG_VERSION"));
    match Exporter::start(&settings, envelope) {
        Ok(exporter) => {
            tracing::info!(?settings, "traces are exported");
            let _ = TRACES.set(Traces { settings, exporter });
        }
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::error!(%error, cause, "no traces are exported");
        }
    }
}

/// Sends what has not been sent yet, within a time limit: to be called at the end of a process.
pub async fn flush() {
    if let Some(traces) = TRACES.get() {
        traces.exporter.flush().await;
    }
}

/// The trace's id, if `traceparent` is one: for log lines.
pub fn id(traceparent: Option<&str>) -> Option<&str> {
    traceparent.and_then(Context::parse)?;
    traceparent.and_then(|text| text.get(3..35))
}
