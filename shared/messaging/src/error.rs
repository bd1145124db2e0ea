use std::time::Duration;

/// What went wrong between this process and the broker.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{what} failed: {source}")]
    Broker { what: String, source: lapin::Error },
    #[error("{what}: no answer within {limit:?}")]
    TimedOut { what: String, limit: Duration },
    /// The queue exists with other arguments. Nobody but an operator can settle that.
    #[error(
        "queue {queue} exists with other arguments than this version declares; \
         delete or migrate it, then start again: {difference}"
    )]
    Mismatch { queue: String, difference: String },
    /// The exchange exists with another type or durability.
    #[error(
        "exchange {exchange} exists as another kind than this version declares; \
         delete or migrate it, then start again: {difference}"
    )]
    ExchangeMismatch { exchange: String, difference: String },
    #[error("{0} is not there, and this login may not declare it")]
    Forbidden(String),
    #[error("{0}")]
    Lost(String),
    #[error("stopped before the broker was ready")]
    Stopped,
}

impl Error {
    /// Whether only an operator can help: waiting and reconnecting will not.
    pub fn is_permanent(&self) -> bool {
        matches!(self, Error::Mismatch { .. } | Error::ExchangeMismatch { .. })
    }

    /// The AMQP reply code, when the broker gave one: 403, 404, 406, …
    pub(crate) fn code(&self) -> Option<u16> {
        match self {
            Error::Broker { source, .. } => match source.kind() {
                lapin::ErrorKind::ProtocolError(error) => Some(error.get_id()),
                _ => None,
            },
            _ => None,
        }
    }

    /// The broker's own words, when it gave any.
    pub(crate) fn words(&self) -> String {
        match self {
            Error::Broker { source, .. } => match source.kind() {
                lapin::ErrorKind::ProtocolError(error) => error.get_message().to_string(),
                _ => source.to_string(),
            },
            _ => self.to_string(),
        }
    }
}
