//! An OTLP collector inside the test: what real processes export to, over HTTP.

use anyhow::{Context as _, Result, ensure};
use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span as Sent,
};
use prost::Message as _;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinHandle;

/// Takes spans until it is dropped.
pub struct Collector {
    pub url: &'static str,
    spans: Spans,
    serving: JoinHandle<()>,
}

type Spans = Arc<Mutex<Vec<Span>>>;

/// As much of a span as is looked at.
#[derive(Clone, Debug)]
pub struct Span {
    pub service: String,
    pub trace: Vec<u8>,
    pub id: Vec<u8>,
    /// Empty at the root.
    pub parent: Vec<u8>,
    pub name: String,
    pub kind: i32,
    pub began: u64,
    pub ended: u64,
    pub attributes: Vec<(String, String)>,
    pub links: Vec<(Vec<u8>, Vec<u8>)>,
    pub failed: bool,
}

impl Span {
    /// Empty when there is none.
    pub fn attribute(&self, key: &str) -> &str {
        let found = self.attributes.iter().find(|(name, _)| name == key);
        found.map_or("", |(_, value)| value.as_str())
    }
}

impl Collector {
    pub async fn start() -> Result<Collector> {
        let spans = Spans::default();
        let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&spans));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        // Options of a stack are made for constants, and a test has few of these.
        let url = Box::leak(format!("http://{}", listener.local_addr()?).into_boxed_str());
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Collector { url, spans, serving })
    }

    pub fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The whole trace of the request that began a saga.
    pub fn trace_of(&self, saga: contracts::SagaId) -> Result<Vec<Span>> {
        let (spans, saga) = (self.spans(), saga.to_string());
        let request = spans
            .iter()
            .find(|span| span.name == "POST /api/v1/orders" && span.attribute("saga.id") == saga);
        let trace = request.context("its request has not been exported so far")?.trace.clone();
        let strays: Vec<_> = spans
            .iter()
            .filter(|span| span.attribute("saga.id") == saga && span.trace != trace)
            .map(|span| span.name.as_str())
            .collect();
        ensure!(strays.is_empty(), "in another trace: {strays:?}");
        Ok(spans.into_iter().filter(|span| span.trace == trace).collect())
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn take(State(spans): State<Spans>, body: Bytes) -> StatusCode {
    let Ok(request) = ExportTraceServiceRequest::decode(body) else {
        return StatusCode::BAD_REQUEST;
    };
    let mut spans = spans.lock().unwrap_or_else(PoisonError::into_inner);
    for of_resource in request.resource_spans {
        let resource = of_resource.resource.unwrap_or_default();
        let resource: Vec<_> = resource.attributes.into_iter().map(attribute).collect();
        let service = resource.into_iter().find(|(key, _)| key == "service.name");
        let service = service.map(|(_, value)| value).unwrap_or_default();
        for sent in of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            spans.push(span(&service, sent));
        }
    }
    StatusCode::OK
}

fn span(service: &str, sent: Sent) -> Span {
    Span {
        service: service.to_owned(),
        trace: sent.trace_id,
        id: sent.span_id,
        parent: sent.parent_span_id,
        name: sent.name,
        kind: sent.kind,
        began: sent.start_time_unix_nano,
        ended: sent.end_time_unix_nano,
        attributes: sent.attributes.into_iter().map(attribute).collect(),
        links: sent.links.into_iter().map(|link| (link.trace_id, link.span_id)).collect(),
        failed: sent.status.is_some_and(|status| status.code == 2),
    }
}

fn attribute(pair: KeyValue) -> (String, String) {
    let value = match pair.value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    (pair.key, value)
}
