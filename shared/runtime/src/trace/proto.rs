//! OTLP's messages as far as they are needed, written straight as the bytes of their fields: a
//! span is written while it lives, and nothing of it is copied from one structure into another.
//! Numbers and wire types are those of `opentelemetry/proto/trace/v1/trace.proto`.

use super::{Context, Kind, Value};
use std::time::{SystemTime, UNIX_EPOCH};

const NUMBER: u8 = 0;
const FIXED64: u8 = 1;
const BYTES: u8 = 2;

/// Fields of a `Span`.
mod of_span {
    pub(super) const TRACE: u8 = 1;
    pub(super) const ID: u8 = 2;
    pub(super) const PARENT: u8 = 4;
    pub(super) const NAME: u8 = 5;
    pub(super) const KIND: u8 = 6;
    pub(super) const BEGAN: u8 = 7;
    pub(super) const ENDED: u8 = 8;
    pub(super) const ATTRIBUTE: u8 = 9;
    pub(super) const LINK: u8 = 13;
    pub(super) const STATUS: u8 = 15;
}

const STATUS_ERROR: u64 = 2;

/// The fields of one span, in any order.
#[derive(Debug)]
pub(super) struct Body(pub(super) Vec<u8>);

impl Body {
    pub(super) fn new(name: &str, kind: Kind) -> Body {
        let mut out = Vec::with_capacity(640);
        bytes(&mut out, of_span::NAME, name.as_bytes());
        number(&mut out, of_span::KIND, kind as u64);
        Body(out)
    }

    pub(super) fn attribute(&mut self, key: &str, value: &Value<'_>) {
        attribute(&mut self.0, of_span::ATTRIBUTE, key, value);
    }

    pub(super) fn link(&mut self, to: Context) {
        tag(&mut self.0, of_span::LINK, BYTES);
        varint(&mut self.0, 2 + 16 + 2 + 8);
        bytes(&mut self.0, 1, &to.trace.to_be_bytes());
        bytes(&mut self.0, 2, &to.span.to_be_bytes());
    }

    pub(super) fn fail(&mut self, error: &str) {
        let size = field_size(error.len()) + 2;
        tag(&mut self.0, of_span::STATUS, BYTES);
        varint(&mut self.0, size as u64);
        bytes(&mut self.0, 2, error.as_bytes());
        number(&mut self.0, 3, STATUS_ERROR);
    }

    pub(super) fn end(
        &mut self,
        context: Context,
        parent: Option<u64>,
        began: SystemTime,
        ended: SystemTime,
    ) {
        let out = &mut self.0;
        bytes(out, of_span::TRACE, &context.trace.to_be_bytes());
        bytes(out, of_span::ID, &context.span.to_be_bytes());
        if let Some(parent) = parent {
            bytes(out, of_span::PARENT, &parent.to_be_bytes());
        }
        for (field, at) in [(of_span::BEGAN, began), (of_span::ENDED, ended)] {
            let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
            tag(out, field, FIXED64);
            let nanos = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
            out.extend_from_slice(&nanos.to_le_bytes());
        }
    }
}

/// Adds a span to the others of a request.
pub(super) fn add(spans: &mut Vec<u8>, span: &Body) {
    bytes(spans, 2, &span.0);
}

/// What every request of a process begins with.
#[derive(Clone, Debug)]
pub(super) struct Envelope {
    resource: Vec<u8>,
    scope: Vec<u8>,
}

impl Envelope {
    pub(super) fn new(resource: &[(String, String)], version: &str) -> Envelope {
        let mut attributes = Vec::new();
        for (key, value) in resource {
            attribute(&mut attributes, 1, key, &Value::Text(value));
        }
        let mut named = Vec::new();
        bytes(&mut named, 1, b"saga-orchestrator");
        bytes(&mut named, 2, version.as_bytes());
        let mut envelope = Envelope { resource: Vec::new(), scope: Vec::new() };
        bytes(&mut envelope.resource, 1, &attributes);
        bytes(&mut envelope.scope, 1, &named);
        envelope
    }

    /// A request with `spans`, as [`add`] has put them together.
    pub(super) fn around(&self, spans: &[u8]) -> Vec<u8> {
        let of_scope = self.scope.len() + spans.len();
        let of_resource = self.resource.len() + field_size(of_scope);
        let mut out = Vec::with_capacity(field_size(of_resource));
        tag(&mut out, 1, BYTES);
        varint(&mut out, of_resource as u64);
        out.extend_from_slice(&self.resource);
        tag(&mut out, 2, BYTES);
        varint(&mut out, of_scope as u64);
        out.extend_from_slice(&self.scope);
        out.extend_from_slice(spans);
        out
    }
}

fn attribute(out: &mut Vec<u8>, field: u8, key: &str, value: &Value<'_>) {
    let size = match value {
        Value::Text(text) => field_size(text.len()),
        Value::Number(whole) => 1 + varint_size(*whole as u64),
    };
    tag(out, field, BYTES);
    varint(out, (field_size(key.len()) + field_size(size)) as u64);
    bytes(out, 1, key.as_bytes());
    tag(out, 2, BYTES);
    varint(out, size as u64);
    match value {
        Value::Text(text) => bytes(out, 1, text.as_bytes()),
        Value::Number(whole) => number(out, 3, *whole as u64),
    }
}

fn bytes(out: &mut Vec<u8>, field: u8, content: &[u8]) {
    tag(out, field, BYTES);
    varint(out, content.len() as u64);
    out.extend_from_slice(content);
}

fn number(out: &mut Vec<u8>, field: u8, value: u64) {
    tag(out, field, NUMBER);
    varint(out, value);
}

/// Fields below 16 have a tag of one byte; there are no others here.
fn tag(out: &mut Vec<u8>, field: u8, wire: u8) {
    out.push(field << 3 | wire);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint_size(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Of a field whose content has `length` bytes.
fn field_size(length: usize) -> usize {
    1 + varint_size(length as u64) + length
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::{
        collector::trace::v1::ExportTraceServiceRequest, common::v1::any_value,
    };
    use prost::Message as _;
    use std::time::Duration;

    #[test]
    fn what_is_written_is_what_opentelemetrys_own_definitions_read() {
        let context = Context { trace: 0x0af7 << 112 | 1, span: 0xb7 << 56 | 2, sampled: true };
        let linked = Context { span: 3, ..context };
        let long = "x".repeat(300);
        let mut body = Body::new("send inventory.commands", Kind::Producer);
        body.attribute("saga.step", &Value::Text("reserve-stock"));
        body.attribute("long", &Value::Text(&long));
        for whole in [0, 1, 127, 128, 16_384, i64::MAX, -1] {
            body.attribute("whole", &Value::Number(whole));
        }
        body.link(linked);
        body.fail("no queue takes it");
        let began = UNIX_EPOCH + Duration::from_nanos(1_700_000_000_000_000_001);
        body.end(context, Some(7), began, began + Duration::from_nanos(5));
        let mut spans = Vec::new();
        add(&mut spans, &body);
        let mut root = Body::new("POST /api/v1/orders", Kind::Server);
        root.end(linked, None, began, began);
        add(&mut spans, &root);
        let resource = [("service.name".to_owned(), "order".to_owned())];
        let request = Envelope::new(&resource, "0.1.0").around(&spans);

        let request = ExportTraceServiceRequest::decode(&request[..]).unwrap();
        let of_resource = &request.resource_spans[0];
        let attributes = &of_resource.resource.as_ref().unwrap().attributes;
        assert_eq!((request.resource_spans.len(), attributes.len()), (1, 1));
        assert_eq!(attributes[0].key, "service.name");
        let scope = &of_resource.scope_spans[0];
        assert_eq!(scope.scope.as_ref().unwrap().version, "0.1.0");
        let [span, root] = &scope.spans[..] else { panic!("{:?}", scope.spans) };
        assert_eq!(span.trace_id, context.trace.to_be_bytes());
        assert_eq!(span.span_id, context.span.to_be_bytes());
        assert_eq!(span.parent_span_id, 7_u64.to_be_bytes());
        assert_eq!((span.name.as_str(), span.kind), ("send inventory.commands", 4));
        assert_eq!(span.start_time_unix_nano, 1_700_000_000_000_000_001);
        assert_eq!(span.end_time_unix_nano, 1_700_000_000_000_000_006);
        let values: Vec<_> = span.attributes.iter().map(|pair| pair.value.clone()).collect();
        let values: Vec<_> = values.into_iter().filter_map(|value| value?.value).collect();
        let mut expected = vec![
            any_value::Value::StringValue("reserve-stock".to_owned()),
            any_value::Value::StringValue(long),
        ];
        expected.extend([0, 1, 127, 128, 16_384, i64::MAX, -1].map(any_value::Value::IntValue));
        assert_eq!(values, expected);
        assert_eq!(span.links[0].span_id, 3_u64.to_be_bytes());
        assert_eq!(span.links[0].trace_id, context.trace.to_be_bytes());
        let status = span.status.as_ref().unwrap();
        assert_eq!((status.message.as_str(), status.code), ("no queue takes it", 2));
        assert!(root.parent_span_id.is_empty() && root.status.is_none());
        assert_eq!((root.name.as_str(), root.kind), ("POST /api/v1/orders", 2));
    }
}
