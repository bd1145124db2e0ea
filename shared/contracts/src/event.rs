use serde::{Serialize, de::DeserializeOwned};
use std::fmt;

/// Something that has become true, told to whoever listens. Published to the topic exchange
/// `saga.events` under its type.
pub trait Event: Serialize + DeserializeOwned + fmt::Debug + Send + Sync + 'static {
    /// `<publisher>.<past participle>`, the AMQP `type` and routing key: `order.confirmed`.
    const TYPE: &'static str;
}
