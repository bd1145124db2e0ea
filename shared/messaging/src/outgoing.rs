use crate::{
    departure::Departure,
    headers::{Headers, short},
};
use lapin::{BasicProperties, types::AMQPValue};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::time::{SystemTime, UNIX_EPOCH};

/// The header that RabbitMQ's own timestamp interceptor sets, under the same name: milliseconds,
/// where the property has seconds.
pub(crate) const SENT_AT: &str = "timestamp_in_ms";

/// A message to send. As JSON (in an outbox) it is one readable object, its body text.
///
/// What is absent is filled in when it is sent: the time, the process (`app_id`) and the login
/// (`user_id`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outgoing {
    pub exchange: String,
    /// The routing key.
    pub key: String,
    pub properties: Properties,
    pub headers: Headers,
    #[serde(serialize_with = "write_body", deserialize_with = "read_body")]
    pub body: Vec<u8>,
    /// See [`Outgoing::depart`].
    #[serde(skip)]
    pub(crate) departure: Departure,
}

impl Outgoing {
    /// A message that is none of those that have a meaning here.
    pub fn other(
        exchange: impl Into<String>,
        key: impl Into<String>,
        properties: Properties,
        headers: Headers,
        body: Vec<u8>,
    ) -> Outgoing {
        let (exchange, key) = (exchange.into(), key.into());
        Outgoing { exchange, key, properties, headers, body, departure: Departure::default() }
    }
}

/// The AMQP properties in use. `delivery_mode` is not among them: everything is persistent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Properties {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// The saga.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// `inventory.reserve-stock`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// For people only: where a reply goes is configuration, never taken from a message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// Seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_id: Option<String>,
    /// Left out on sending when it is not this process's own login: the broker would refuse it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
}

impl Outgoing {
    /// What goes over the wire, sent by `app` with `login` at `now`, milliseconds since 1970.
    pub(crate) fn stamped(&self, app: &str, login: &str, now: u64) -> BasicProperties {
        let own = &self.properties;
        let mut headers = self.headers.table().clone();
        // Of this sending, also where a copy keeps the time of the first: it tells how long a
        // message has waited in its queue.
        headers
            .insert(short(SENT_AT), AMQPValue::LongLongInt(i64::try_from(now).unwrap_or(i64::MAX)));
        let mut properties = BasicProperties::default()
            .with_delivery_mode(2)
            .with_content_type(short(own.content_type.as_deref().unwrap_or("application/json")))
            .with_app_id(short(own.app_id.as_deref().unwrap_or(app)))
            .with_timestamp(own.timestamp.unwrap_or(now / 1000))
            .with_headers(headers);
        if let Some(id) = &own.message_id {
            properties = properties.with_message_id(short(id));
        }
        if let Some(id) = &own.correlation_id {
            properties = properties.with_correlation_id(short(id));
        }
        if let Some(kind) = &own.kind {
            properties = properties.with_type(short(kind));
        }
        if let Some(reply_to) = &own.reply_to {
            properties = properties.with_reply_to(short(reply_to));
        }
        if let Some(encoding) = &own.content_encoding {
            properties = properties.with_content_encoding(short(encoding));
        }
        let user = own.user_id.as_deref().unwrap_or(login);
        if user == login && !login.is_empty() {
            properties = properties.with_user_id(short(login));
        }
        properties
    }
}

/// Text wherever it is text, so that an outbox row can be read; the bytes otherwise.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Body<T, B> {
    Text(T),
    Bytes(B),
}

fn write_body<S: Serializer>(body: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    match std::str::from_utf8(body) {
        // No NUL either: Postgres keeps none in `jsonb`.
        Ok(text) if !text.contains('\0') => Body::<_, &[u8]>::Text(text),
        _ => Body::Bytes(body),
    }
    .serialize(serializer)
}

fn read_body<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    Ok(match Body::<String, Vec<u8>>::deserialize(deserializer)? {
        Body::Text(text) => text.into_bytes(),
        Body::Bytes(bytes) => bytes,
    })
}

/// Milliseconds since 1970.
pub(crate) fn now_in_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
