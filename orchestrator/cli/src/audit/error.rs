use super::invariant::Need;
use std::{fmt, time::Duration};

/// Why there is no audit.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Config(#[from] runtime::config::Error),
    #[error("the journal is not given: set AUDIT_DATABASE_URL or AUDIT_ORCHESTRATOR_URL")]
    NoJournal,
    #[error("{0} is not a URL that can be used")]
    Url(String),
    #[error("{0} cannot be read")]
    Database(Need, #[source] sqlx::Error),
    #[error("{0} did not answer within {1:?}")]
    TooLate(Need, Duration),
    #[error("{0} cannot be read")]
    Http(Need, #[source] reqwest::Error),
    #[error("{0} gave an answer that makes no sense: {1}")]
    Answer(Need, String),
    #[error("the HTTP client cannot be set up")]
    Client(#[from] runtime::http_client::Error),
}

/// For people.
impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Need::Database(service) => write!(f, "the database of {service}"),
            Need::Simulator => f.write_str("the ledger of the gateway and the carrier"),
            Need::Broker => f.write_str("RabbitMQ's management API"),
        }
    }
}
