//! The one HTTP client: the orchestrator and the order service.

use crate::{answer::list, events::Events, problem::Problem};
use reqwest::{Method, StatusCode, Url};
use serde_json::{Value, json};
use std::{error::Error as _, time::Duration};

/// For one call, beyond the 5 s that the services promise.
const LIMIT: Duration = Duration::from_secs(10);
/// The most that a list gives at once.
const PAGE: usize = 200;
/// A page may be empty and not the last, when it was searched for a text.
const PAGES: usize = 100;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Setup(#[from] runtime::http_client::Error),
    #[error("{address} is no address: it looks like http://localhost:8000")]
    Address { address: String },
    #[error("the {} at {url} does not answer: {}\n  {} says where it is", service.name(), root(source), service.told_by())]
    Unreachable { service: Service, url: Url, source: reqwest::Error },
    #[error("the {} at {url} answered with something else than JSON", service.name())]
    NotJson { service: Service, url: Url, source: serde_json::Error },
    #[error("{0}")]
    Problem(Problem),
}

impl Error {
    /// Whether the service understood and says no.
    pub fn is_no(&self) -> bool {
        matches!(self, Error::Problem(problem) if problem.is_no())
    }

    /// Whether it may be there in a moment.
    pub fn is_away(&self) -> bool {
        match self {
            Error::Unreachable { .. } => true,
            Error::Problem(problem) => matches!(problem.status, 502..=504),
            _ => false,
        }
    }
}

/// The last cause says it best: `Connection refused`.
fn root(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it took too long".to_owned();
    }
    let mut cause = error.source();
    while let Some(deeper) = cause.and_then(std::error::Error::source) {
        cause = Some(deeper);
    }
    cause.map_or_else(|| error.to_string(), ToString::to_string)
}

#[derive(Clone, Copy, Debug)]
pub enum Service {
    Orchestrator,
    Orders,
}

impl Service {
    fn name(self) -> &'static str {
        match self {
            Service::Orchestrator => "orchestrator",
            Service::Orders => "order service",
        }
    }

    fn told_by(self) -> &'static str {
        match self {
            Service::Orchestrator => "--orchestrator or ORCHESTRATOR_URL",
            Service::Orders => "--orders or ORDERS_URL",
        }
    }
}

/// Of a request, by name.
pub type Query<'a> = Vec<(&'a str, String)>;

#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    service: Service,
    base: Url,
}

impl Client {
    pub fn new(service: Service, address: &str) -> Result<Self, Error> {
        let wrong = || Error::Address { address: address.to_owned() };
        let base = Url::parse(address).map_err(|_| wrong())?;
        if base.cannot_be_a_base() || !base.scheme().starts_with("http") {
            return Err(wrong());
        }
        Ok(Client { http: runtime::http_client::client()?, service, base })
    }

    pub fn address(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    pub async fn get(&self, path: &[&str], query: &Query<'_>) -> Result<Value, Error> {
        let url = self.url(path, query);
        self.answer(self.http.get(url.clone()), url).await
    }

    pub async fn post(&self, path: &[&str], body: &Value) -> Result<Value, Error> {
        let url = self.url(path, &Vec::new());
        self.answer(self.http.request(Method::POST, url.clone()).json(body), url).await
    }

    /// As [`post`](Self::post); asked again with the same key it is done once.
    pub async fn post_once(&self, path: &[&str], body: &Value, key: &str) -> Result<Value, Error> {
        let url = self.url(path, &Vec::new());
        let request = self.http.request(Method::POST, url.clone()).json(body);
        self.answer(request.header("idempotency-key", key), url).await
    }

    /// A list, page after page, up to `limit` items: `{"items", "next"}`.
    pub async fn list(
        &self,
        path: &[&str],
        query: &Query<'_>,
        limit: usize,
    ) -> Result<Value, Error> {
        let mut items = Vec::new();
        let mut next = Value::Null;
        for _ in 0..PAGES {
            let mut query = query.clone();
            query.push(("limit", (limit - items.len()).min(PAGE).to_string()));
            if let Some(cursor) = next.as_str() {
                query.push(("cursor", cursor.to_owned()));
            }
            let page = self.get(path, &query).await?;
            items.extend_from_slice(list(&page["items"]));
            next = page["next"].clone();
            if next.is_null() || items.len() >= limit {
                break;
            }
        }
        Ok(json!({ "items": items, "next": next }))
    }

    /// Server-sent events; `None` from a server that has none.
    pub async fn events(&self, path: &[&str]) -> Result<Option<Events>, Error> {
        let url = self.url(path, &Vec::new());
        let request = self.http.get(url.clone()).header("accept", "text/event-stream");
        // Open as long as it is watched; silence is limited where it is read.
        let request = request.timeout(Duration::from_secs(86_400)).send();
        let answer = match tokio::time::timeout(LIMIT, request).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(source)) => {
                return Err(Error::Unreachable { service: self.service, url, source });
            }
            Err(_) => return Ok(None),
        };
        match answer.status() {
            status if status.is_success() => Ok(Some(Events::of(answer))),
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => Ok(None),
            status => {
                let body = answer.text().await.unwrap_or_default();
                Err(Error::Problem(Problem::read(status.as_u16(), &body)))
            }
        }
    }

    fn url(&self, path: &[&str], query: &Query<'_>) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    async fn answer(&self, request: reqwest::RequestBuilder, url: Url) -> Result<Value, Error> {
        let service = self.service;
        let unreachable = |source| Error::Unreachable { service, url: self.base.clone(), source };
        let answer = request.timeout(LIMIT).send().await.map_err(unreachable)?;
        let status = answer.status();
        let body = answer.text().await.map_err(unreachable)?;
        if !status.is_success() {
            return Err(Error::Problem(Problem::read(status.as_u16(), &body)));
        }
        serde_json::from_str(&body).map_err(|source| Error::NotJson { service, url, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_have_a_path_and_names_are_escaped() {
        let client = Client::new(Service::Orders, "http://proxy/shop/").unwrap();
        let query = vec![("text", "a b&c".to_owned())];
        let url = client.url(&["definitions", "../x y"], &query);
        let text = "http://proxy/shop/api/v1/definitions/..%2Fx%20y?text=a+b%26c";
        assert_eq!(url.as_str(), text);
    }

    #[test]
    fn what_is_no_address_is_refused_before_anything_is_sent() {
        for address in ["", "localhost:8000", "mailto:a@b", "ftp://x"] {
            Client::new(Service::Orchestrator, address).unwrap_err();
        }
    }
}
