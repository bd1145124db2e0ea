//! The one thing asked of the orchestrator by HTTP: to cancel a saga.

use serde::Deserialize;
use std::time::Duration;
use uuid::Uuid;

/// For the whole exchange: with the database's share it stays below what a client waits for.
const LIMIT: Duration = Duration::from_secs(3);

#[derive(Clone, Debug)]
pub struct Orchestrator {
    url: String,
    client: reqwest::Client,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The saga is past the point of no return, or over. In the orchestrator's words.
    #[error("{0}")]
    TooLate(String),
    /// It does not know the saga yet, or is in no state to answer.
    #[error("the orchestrator answered {0}")]
    NotNow(reqwest::StatusCode),
    #[error("the orchestrator cannot be reached")]
    Unreachable(#[from] reqwest::Error),
}

/// What is read of a problem document.
#[derive(Default, Deserialize)]
struct Detail {
    detail: Option<String>,
}

impl Orchestrator {
    /// `url` is where it listens: `http://127.0.0.1:8000`.
    pub fn new(url: &str, client: reqwest::Client) -> Self {
        Orchestrator { url: url.trim_end_matches('/').to_owned(), client }
    }

    /// Returns once the orchestrator has taken the cancellation on; the undoing follows.
    pub async fn cancel(&self, saga: Uuid, reason: &str) -> Result<(), Error> {
        let request = self
            .client
            .post(format!("{}/api/v1/sagas/{saga}/cancel", self.url))
            .timeout(LIMIT)
            .json(&serde_json::json!({ "reason": reason }));
        let answer = runtime::http_client::send("orchestrator", request).await?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            reqwest::StatusCode::CONFLICT => {
                let problem: Detail = answer.json().await.unwrap_or_default();
                let detail =
                    problem.detail.unwrap_or_else(|| "it can no longer be cancelled".into());
                Err(Error::TooLate(detail))
            }
            status => Err(Error::NotNow(status)),
        }
    }
}
