//! Another company's HTTP interface: one JSON request, one answer, under an idempotency key.
//!
//! What an answer means is the port's affair; which answers are worth another try is the same
//! everywhere, and so is that no error may quote the URL, which may hold credentials.

use crate::http_client;
use reqwest::{StatusCode, Url};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Why there is no answer to a request.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the {who} gives no answer")]
    Unreachable { who: &'static str, source: reqwest::Error },
    #[error("the {who} is unavailable (status {status})")]
    Unavailable { who: &'static str, status: StatusCode },
    /// `reason` is the code in the answer, empty if it had none.
    #[error("the {who} does not take the request (status {status}, {reason})")]
    Rejected { who: &'static str, status: StatusCode, reason: String },
    #[error("the address of the {0} is not an http or https URL")]
    Address(&'static str),
    #[error(transparent)]
    Client(#[from] http_client::Error),
}

impl Error {
    /// Whether the same request may fare better later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Error::Unreachable { .. } | Error::Unavailable { .. })
    }
}

/// Somebody outside, at a base URL.
#[derive(Clone, Debug)]
pub struct Outside {
    who: &'static str,
    base: String,
    client: reqwest::Client,
}

#[derive(Default, Deserialize)]
struct Reason {
    #[serde(default)]
    reason: String,
}

impl Outside {
    /// `who` names the other side in errors.
    pub fn new(who: &'static str, base: &str) -> Result<Self, Error> {
        if !(base.starts_with("http://") || base.starts_with("https://")) {
            return Err(Error::Address(who));
        }
        Ok(Outside { who, base: base.to_owned(), client: http_client::client()? })
    }

    /// Posts `body` to `path` (empty: the base itself). A status of 5xx, 408 or 429 may pass;
    /// any other that is no success will not.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        key: &str,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        let response = self.send(path, key, body).await?;
        response.json().await.map_err(|error| self.unreachable(error))
    }

    /// As [`Outside::post`], for an answer whose body says nothing.
    pub async fn tell(&self, path: &str, key: &str, body: &impl Serialize) -> Result<(), Error> {
        self.send(path, key, body).await.map(|_| ())
    }

    /// Asks for what is at `path`. Statuses mean what they mean in [`Outside::post`].
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, Error> {
        let mut url = Url::parse(&self.url(path)).map_err(|_| Error::Address(self.who))?;
        url.query_pairs_mut().extend_pairs(query);
        let response = self.answer(self.client.get(url)).await?;
        response.json().await.map_err(|error| self.unreachable(error))
    }

    async fn send(
        &self,
        path: &str,
        key: &str,
        body: &impl Serialize,
    ) -> Result<reqwest::Response, Error> {
        let request = self.client.post(self.url(path)).header("idempotency-key", key).json(body);
        self.answer(request).await
    }

    fn url(&self, path: &str) -> String {
        match path {
            "" => self.base.clone(),
            path => format!("{}/{path}", self.base.trim_end_matches('/')),
        }
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<reqwest::Response, Error> {
        let response = http_client::send(self.who, request).await;
        let response = response.map_err(|error| self.unreachable(error))?;
        let (who, status) = (self.who, response.status());
        if status.is_success() {
            return Ok(response);
        }
        if status.is_server_error()
            || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
        {
            return Err(Error::Unavailable { who, status });
        }
        let Reason { reason } = response.json().await.unwrap_or_default();
        Err(Error::Rejected { who, status, reason })
    }

    fn unreachable(&self, error: reqwest::Error) -> Error {
        Error::Unreachable { who: self.who, source: error.without_url() }
    }
}
