//! Queues and bindings, by the broker's management API.

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Method, StatusCode, Url};
use serde_json::{Value, json};

#[derive(Clone, Debug)]
pub struct Routes {
    client: Client,
    /// With the login in it.
    base: Url,
    vhost: String,
}

impl Routes {
    pub fn new(base: &str, vhost: &str) -> Result<Self> {
        let base = Url::parse(base).context("RABBITMQ_MANAGEMENT_URL is no URL")?;
        Ok(Routes { client: runtime::http_client::client()?, base, vhost: vhost.to_owned() })
    }

    pub async fn declare(&self, queue: &str) -> Result<()> {
        let path = format!("api/queues/{}/{queue}", self.vhost);
        self.ask(Method::PUT, &path, Some(json!({ "durable": true }))).await
    }

    pub async fn bind(&self, exchange: &str, queue: &str, key: &str) -> Result<()> {
        let path = format!("api/bindings/{}/e/{exchange}/q/{queue}", self.vhost);
        self.ask(Method::POST, &path, Some(json!({ "routing_key": key }))).await
    }

    pub async fn unbind(&self, exchange: &str, queue: &str, key: &str) -> Result<()> {
        let path = format!("api/bindings/{}/e/{exchange}/q/{queue}/{key}", self.vhost);
        self.ask(Method::DELETE, &path, None).await
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<()> {
        let mut request = self.client.request(method, self.base.join(path)?);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.context("the management API cannot be reached")?;
        let status = answer.status();
        let gone = status == StatusCode::NOT_FOUND && path.contains("/bindings/");
        ensure!(status.is_success() || gone, "the management API answered {status} for {path}");
        Ok(())
    }
}
