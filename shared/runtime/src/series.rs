//! What a process measures: every series is declared once, with its labels and what it means, and
//! both Prometheus' `# HELP` and docs/metrics.md are made of that.
//!
//! Names follow Prometheus' conventions and carry their unit. No id is ever a label.

/// A series that a process writes.
#[derive(Clone, Copy, Debug)]
pub struct Series {
    pub kind: Kind,
    pub name: Name,
    /// In alphabetical order.
    pub labels: Labels,
    /// One sentence, with the unit unless the name has it.
    pub help: &'static str,
}

/// How a series behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

type Name = &'static str;
type Labels = &'static [&'static str];

impl Series {
    pub const fn counter(name: Name, labels: Labels, help: &'static str) -> Self {
        Series { kind: Kind::Counter, name, labels, help }
    }

    pub const fn gauge(name: Name, labels: Labels, help: &'static str) -> Self {
        Series { kind: Kind::Gauge, name, labels, help }
    }

    pub const fn histogram(name: Name, labels: Labels, help: &'static str) -> Self {
        Series { kind: Kind::Histogram, name, labels, help }
    }
}

/// Tells the recorder what its series mean.
pub fn describe(table: &[Series]) {
    for series in table {
        match series.kind {
            Kind::Counter => metrics::describe_counter!(series.name, series.help),
            Kind::Gauge => metrics::describe_gauge!(series.name, series.help),
            Kind::Histogram => metrics::describe_histogram!(series.name, series.help),
        }
    }
}

/// Those of every process.
pub const SERIES: &[Series] = &[
    Series::counter(
        "breaker_changes_total",
        &["breaker", "to"],
        "How often a circuit breaker became closed, half-open or open.",
    ),
    Series::counter(
        "breaker_refused_total",
        &["breaker"],
        "Calls that an open circuit breaker did not let through.",
    ),
    Series::gauge(
        "breaker_state",
        &["breaker"],
        "0 closed, 1 half-open (one probe goes through), 2 open.",
    ),
    Series::gauge("build_info", &["service", "version"], "Always 1; its labels tell what runs."),
    Series::gauge(
        "health_part_up",
        &["part"],
        "1 while this part of the process is up, as /readyz tells, else 0.",
    ),
    Series::histogram(
        "http_server_request_duration_seconds",
        &["method", "route", "status"],
        "From a request's arrival to its answer.",
    ),
    Series::counter(
        "trace_spans_dropped_total",
        &["reason"],
        "Spans that are lost: queue-full (too many waited) or not-taken (the collector did not take them).",
    ),
    Series::counter("trace_spans_exported_total", &[], "Spans that a collector has taken."),
];
