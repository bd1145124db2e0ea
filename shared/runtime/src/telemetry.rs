//! Logs, metrics and traces of a process.

use crate::{series, trace};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use std::{env, fmt, io::IsTerminal as _, sync::OnceLock, time::Duration};
use tracing::{Event, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer,
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{JsonFields, Writer},
    },
    layer::SubscriberExt as _,
    registry::LookupSpan,
    util::SubscriberInitExt as _,
};

/// Unless `RUST_LOG` names it: what the broker's library logs, messaging tells, and without the
/// bodies of messages.
const QUIET: &str = "lapin=off";
/// Bounds of every histogram whose name ends in `_seconds`.
const SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Bounds of what may take as long as an outage: sagas, their steps, waiting in a queue.
const LONG: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0];
/// Bounds of every histogram whose name ends in `_size`.
const SIZES: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0];
/// How often recorded values are folded into their histograms; a process that nobody scrapes
/// would otherwise keep every one of them.
const UPKEEP: Duration = Duration::from_secs(5);

static RECORDER: OnceLock<Metrics> = OnceLock::new();

/// The metrics of this process.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// All series in the text format of Prometheus.
    pub fn text(&self) -> String {
        self.0.render()
    }
}

/// Sets up logs, metrics and traces; to be called once, first thing in `main`. A second call changes
/// nothing.
///
/// Logs go to stdout: filtered by `RUST_LOG` (default `info`, without the broker library's own), as JSON unless stdout is a terminal
/// or `LOG_FORMAT` says `pretty`.
pub fn init(service: &'static str) -> Metrics {
    init_logs(service);
    let metrics = RECORDER.get_or_init(|| {
        let handle = match recorder() {
            Ok(handle) => handle,
            Err(error) => {
                tracing::error!(%error, "metrics are not recorded");
                PrometheusBuilder::new().build_recorder().handle()
            }
        };
        let upkeep = handle.clone();
        let spawned =
            std::thread::Builder::new().name("metrics-upkeep".to_owned()).spawn(move || {
                loop {
                    std::thread::sleep(UPKEEP);
                    upkeep.run_upkeep();
                }
            });
        if let Err(error) = spawned {
            tracing::error!(%error, "metrics are folded only when they are scraped");
        }
        Metrics(handle)
    });
    series::describe(series::SERIES);
    metrics::gauge!("build_info", "service" => service, "version" => env!("CARGO_PKG_VERSION"))
        .set(1.0);
    trace::init(service);
    metrics.clone()
}

/// All series of this process; empty before [`init`].
pub fn metrics_text() -> String {
    RECORDER.get().map(Metrics::text).unwrap_or_default()
}

fn recorder() -> Result<PrometheusHandle, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?
        .set_buckets_for_metric(Matcher::Prefix("saga_".to_owned()), LONG)?
        .set_buckets_for_metric(Matcher::Full("queue_wait_seconds".to_owned()), LONG)?
        .set_buckets_for_metric(Matcher::Suffix("_size".to_owned()), SIZES)?
        .install_recorder()
}

fn init_logs(service: &'static str) {
    let asked = env::var("RUST_LOG").ok().filter(|text| !text.trim().is_empty());
    let (filter, bad_filter) = match asked.as_deref().map(filter) {
        Some(Ok(filter)) => (filter, None),
        Some(Err(error)) => (EnvFilter::new(format!("info,{QUIET}")), Some(error)),
        None => (EnvFilter::new(format!("info,{QUIET}")), None),
    };
    let format = env::var("LOG_FORMAT").unwrap_or_default();
    let json = match format.as_str() {
        "json" => true,
        "pretty" => false,
        _ => !std::io::stdout().is_terminal(),
    };
    let lines = tracing_subscriber::fmt::layer();
    let lines = if json {
        let inner = tracing_subscriber::fmt::format().json().flatten_event(true);
        lines.fmt_fields(JsonFields::new()).event_format(Tagged { service, json, inner }).boxed()
    } else {
        let inner = tracing_subscriber::fmt::format();
        lines.event_format(Tagged { service, json, inner }).boxed()
    };
    // Refused when a subscriber is already there, as in tests: theirs is the one wanted.
    let _ = tracing_subscriber::registry().with(lines).with(filter).try_init();
    if let Some(error) = bad_filter {
        tracing::warn!(%error, "RUST_LOG is not understood: logging at info");
    }
    if !matches!(format.as_str(), "" | "json" | "pretty") {
        tracing::warn!(format, "LOG_FORMAT is neither json nor pretty: choosing by the terminal");
    }
}

fn filter(asked: &str) -> Result<EnvFilter, tracing_subscriber::filter::ParseError> {
    match asked.contains("lapin") {
        true => EnvFilter::try_new(asked),
        false => EnvFilter::try_new(format!("{asked},{QUIET}")),
    }
}

/// Puts the name of the service into every line that `inner` makes, and the id of the trace that
/// the line belongs to, where one task serves one trace (elsewhere the line itself says it).
struct Tagged<F> {
    service: &'static str,
    json: bool,
    inner: F,
}

impl<S, N, F> FormatEvent<S, N> for Tagged<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if !self.json {
            write!(writer, "{} ", self.service)?;
            if let Some(trace::Context { trace, .. }) = trace::current() {
                write!(writer, "{trace:032x} ")?;
            }
            return self.inner.format_event(context, writer, event);
        }
        let mut line = String::new();
        self.inner.format_event(context, Writer::new(&mut line), event)?;
        match line.strip_prefix('{') {
            Some(rest) => {
                write!(writer, "{{\"service\":\"{}\",", self.service)?;
                let own = rest.contains("\"trace_id\":");
                if let Some(trace::Context { trace, .. }) = trace::current().filter(|_| !own) {
                    write!(writer, "\"trace_id\":\"{trace:032x}\",")?;
                }
                writer.write_str(rest)
            }
            None => writer.write_str(&line),
        }
    }
}
