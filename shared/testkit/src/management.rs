//! The few requests to RabbitMQ's management API that tests need.

use crate::PATIENCE;
use anyhow::{Context, Result, ensure};
use reqwest::{Client, Method, Url};
use serde_json::{Value, json};

#[derive(Clone, Debug)]
pub(crate) struct Management {
    client: Client,
    /// With the login in it.
    base: Url,
}

impl Management {
    pub(crate) fn new(base: &Url) -> Result<Self> {
        Ok(Management { client: runtime::http_client::client()?, base: base.clone() })
    }

    /// With connections of its own, for another runtime.
    pub(crate) fn fresh(&self) -> Result<Self> {
        Management::new(&self.base)
    }

    pub(crate) async fn create_vhost(&self, vhost: &str, login: &str) -> Result<()> {
        self.send(Method::PUT, &format!("vhosts/{vhost}"), json!({})).await?;
        let everything = json!({ "configure": ".*", "write": ".*", "read": ".*" });
        self.send(Method::PUT, &format!("permissions/{vhost}/{login}"), everything).await?;
        Ok(())
    }

    pub(crate) async fn delete_vhost(&self, vhost: &str) -> Result<()> {
        self.send(Method::DELETE, &format!("vhosts/{vhost}"), Value::Null).await?;
        Ok(())
    }

    pub(crate) async fn delete_queue(&self, vhost: &str, queue: &str) -> Result<()> {
        self.send(Method::DELETE, &format!("queues/{vhost}/{queue}"), Value::Null).await?;
        Ok(())
    }

    pub(crate) async fn import(&self, definitions: Value) -> Result<()> {
        self.send(Method::POST, "definitions", definitions).await?;
        Ok(())
    }

    pub(crate) async fn import_into(&self, vhost: &str, definitions: &Value) -> Result<()> {
        self.send(Method::POST, &format!("definitions/{vhost}"), definitions.clone()).await?;
        Ok(())
    }

    pub(crate) async fn forbid_declaring(&self, vhost: &str, login: &str) -> Result<()> {
        let path = format!("permissions/{vhost}/{login}");
        let mut rights = self.get(&path).await?;
        rights["configure"] = json!("^$");
        self.send(Method::PUT, &path, rights).await?;
        Ok(())
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        let body = self.send(Method::GET, path, Value::Null).await?;
        serde_json::from_str(&body).context("the management API did not answer with JSON")
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: Value) -> Result<String> {
        let url = self.base.join(&format!("api/{path}"))?;
        // Longer than a service may take to ask: a vhost takes its time on a busy machine.
        let mut request = self.client.request(method, url).timeout(PATIENCE);
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await.context("the management API cannot be reached")?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "the management API answered {status} for {path}: {text}");
        Ok(text)
    }
}
