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

    /// The first queue with something left in it, other than dead letters. Its counts lag by up to
    /// five seconds.
    pub async fn left(&self) -> Result<Option<String>> {
        let url = self.base.join(&format!("api/queues/{}", self.vhost))?;
        let answer = self.client.get(url).send().await.context("the management API is away")?;
        let queues: Value = answer.error_for_status()?.json().await?;
        let queues = queues.as_array().context("no list of queues")?;
        let left = queues.iter().find_map(|queue| {
            let name = queue["name"].as_str()?;
            let count = queue["messages"].as_u64().unwrap_or(1);
            (count > 0 && !name.ends_with(".dead-letters")).then(|| format!("{count} in {name}"))
        });
        Ok(left)
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
