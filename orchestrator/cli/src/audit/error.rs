use super::invariant::Need;
use std::time::Duration;

/// Why there is no audit.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Config(#[from] runtime::config::Error),
    #[error("the journal is not given: set AUDIT_DATABASE_URL or AUDIT_ORCHESTRATOR_URL")]
    NoJournal,
    #[error("{0} is not a URL that can be used")]
    Url(String),
    #[error("{} cannot be read", .0.words())]
    Database(Need, #[source] sqlx::Error),
    #[error("{} did not answer within {1:?}", .0.words())]
    TooLate(Need, Duration),
    #[error("{} cannot be read", .0.words())]
    Http(Need, #[source] reqwest::Error),
    #[error("{} gave an answer that makes no sense: {1}", .0.words())]
    Answer(Need, String),
    #[error("the HTTP client cannot be set up")]
    Client(#[from] runtime::http_client::Error),
}

impl Need {
    /// For people.
    pub fn words(self) -> String {
        match self {
            Need::Database(service) => format!("the database of {service}"),
            Need::Simulator => "the ledger of the gateway and the carrier".to_owned(),
            Need::Broker => "RabbitMQ's management API".to_owned(),
        }
    }
}
