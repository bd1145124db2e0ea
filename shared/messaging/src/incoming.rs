use crate::{DeadReason, Headers, Properties, outgoing::SENT_AT};
use lapin::types::ShortString;
use std::time::Duration;

/// A message as it arrived.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Incoming {
    pub exchange: String,
    /// The routing key.
    pub key: String,
    /// Where it was taken from.
    pub queue: String,
    pub properties: Properties,
    pub headers: Headers,
    pub body: Vec<u8>,
    /// How often it was handed out before without being acknowledged, by the broker's count.
    pub delivery_count: u32,
    /// The broker's word that it was handed out before. A hint: nothing may go wrong where it is
    /// missing, or false.
    pub redelivered: bool,
}

/// A message that no retry will help, because it cannot even be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {error}")]
pub struct Poison {
    pub reason: DeadReason,
    pub error: String,
}

impl Incoming {
    /// Empty when there is none.
    pub fn message_id(&self) -> &str {
        self.properties.message_id.as_deref().unwrap_or_default()
    }

    /// The saga, as text; empty when there is none.
    pub fn correlation_id(&self) -> &str {
        self.properties.correlation_id.as_deref().unwrap_or_default()
    }

    /// The AMQP `type`; empty when there is none.
    pub fn kind(&self) -> &str {
        self.properties.kind.as_deref().unwrap_or_default()
    }

    /// How long it has waited in its queue at `now`, milliseconds since 1970; nothing by clocks that
    /// disagree. `None` when nobody said when it was sent, and of a command that waited in a retry
    /// queue on purpose.
    pub(crate) fn waited(&self, now: u64) -> Option<Duration> {
        if self.retry_count() > 0 {
            return None;
        }
        let told = self.headers.int(SENT_AT).and_then(|sent| u64::try_from(sent).ok());
        let sent = told.or_else(|| self.properties.timestamp?.checked_mul(1000))?;
        Some(Duration::from_millis(now.saturating_sub(sent)))
    }

    pub(crate) fn from_delivery(queue: &str, delivery: lapin::message::Delivery) -> Self {
        let own = |text: &Option<ShortString>| text.as_ref().map(|text| text.as_str().to_owned());
        let sent = &delivery.properties;
        let headers = Headers::from(sent.headers().clone().unwrap_or_default());
        let count = headers.int("x-delivery-count").unwrap_or_default();
        Incoming {
            exchange: delivery.exchange.into(),
            key: delivery.routing_key.into(),
            queue: queue.to_owned(),
            properties: Properties {
                message_id: own(sent.message_id()),
                correlation_id: own(sent.correlation_id()),
                kind: own(sent.kind()),
                reply_to: own(sent.reply_to()),
                timestamp: *sent.timestamp(),
                app_id: own(sent.app_id()),
                user_id: own(sent.user_id()),
                content_type: own(sent.content_type()),
                content_encoding: own(sent.content_encoding()),
            },
            headers,
            body: delivery.data,
            delivery_count: u32::try_from(count).unwrap_or_default(),
            redelivered: delivery.redelivered,
        }
    }
}
