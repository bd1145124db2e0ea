use crate::{Instances, cleanup, logins, management::Management};
use anyhow::{Context, Result, ensure};
use reqwest::{Method, Url};
use serde_json::{Value, json};
use uuid::Uuid;

/// A RabbitMQ virtual host for one test, deleted with all that is in it when dropped.
#[derive(Debug)]
pub struct ScratchVhost {
    name: String,
    url: Url,
    management: Management,
}

impl ScratchVhost {
    /// An empty one, on the instances of the run.
    pub async fn create() -> Result<Self> {
        Self::create_on(&Instances::shared()?).await
    }

    /// One with the exchanges, and with the services' users and their permissions.
    pub async fn with_logins() -> Result<Self> {
        let instances = Instances::shared()?;
        let vhost = Self::create_on(&instances).await?;
        logins::on_rabbitmq(&instances, &vhost).await?;
        Ok(vhost)
    }

    /// As that service's user; only in a virtual host [`with_logins`](Self::with_logins).
    pub fn url_of(&self, service: &str) -> Result<String> {
        Ok(self.url_as(service, Instances::shared()?.broker_password())?.into())
    }

    pub(crate) async fn create_on(instances: &Instances) -> Result<Self> {
        let name = format!("test-{}", Uuid::new_v4().simple());
        let management = Management::new(&instances.management)?;
        let mut url = instances.amqp.clone();
        url.set_path(&name);
        management.create_vhost(&name, url.username()).await?;
        Ok(ScratchVhost { name, url, management })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// As the administrator: `amqp://user:password@host:port/vhost`.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// As another login.
    pub(crate) fn url_as(&self, login: &str, password: &str) -> Result<Url> {
        login_as(&self.url, login, password)
    }

    /// Sends a message as nobody of ours would.
    pub async fn publish(&self, exchange: &str, key: &str, payload: &str) -> Result<()> {
        let message = json!({
            "properties": {},
            "routing_key": key,
            "payload": payload,
            "payload_encoding": "string",
        });
        let path = format!("exchanges/{}/{exchange}/publish", self.name);
        let routed = self.management.send(Method::POST, &path, message).await?;
        ensure!(routed.contains("true"), "{exchange} knows no queue for {key}: {routed}");
        Ok(())
    }

    /// A queue that gets a copy of what goes through these exchanges under these keys.
    pub async fn tap(&self, queue: &str, bindings: &[(&str, &str)]) -> Result<()> {
        let path = format!("queues/{}/{queue}", self.name);
        self.management.send(Method::PUT, &path, json!({ "durable": true })).await?;
        for (exchange, key) in bindings {
            let path = format!("bindings/{}/e/{exchange}/q/{queue}", self.name);
            self.management.send(Method::POST, &path, json!({ "routing_key": key })).await?;
        }
        Ok(())
    }

    /// Takes up to so many messages out of a queue, as the management API shows them.
    pub async fn take(&self, queue: &str, most: usize) -> Result<Vec<Value>> {
        let path = format!("queues/{}/{queue}/get", self.name);
        let how = json!({ "count": most, "ackmode": "ack_requeue_false", "encoding": "auto" });
        let taken = self.management.send(Method::POST, &path, how).await?;
        serde_json::from_str(&taken).context("the management API gave no list of messages")
    }

    /// What the management API says of a queue. Counts lag by up to five seconds.
    pub async fn queue(&self, queue: &str) -> Result<Value> {
        self.management.get(&format!("queues/{}/{queue}", self.name)).await
    }

    /// Every queue, as the management API lists them.
    pub async fn queues(&self) -> Result<Value> {
        self.management.get(&format!("queues/{}", self.name)).await
    }

    /// With all that is in it.
    pub async fn delete_queue(&self, queue: &str) -> Result<()> {
        self.management.delete_queue(&self.name, queue).await
    }

    /// Anything else of the management API: `bindings`, `connections`, …, all of this virtual host.
    pub async fn listed(&self, what: &str) -> Result<Value> {
        let path = match what {
            "connections" => format!("vhosts/{}/connections", self.name),
            _ => format!("{what}/{}", self.name),
        };
        self.management.get(&path).await
    }

    /// Adds exported exchanges, queues and bindings.
    pub async fn import(&self, definitions: &Value) -> Result<()> {
        self.management.import_into(&self.name, definitions).await
    }

    /// From now on the login may use what is there, and declare nothing.
    pub async fn forbid_declaring(&self, login: &str) -> Result<()> {
        self.management.forbid_declaring(&self.name, login).await
    }

    pub(crate) fn management(&self) -> &Management {
        &self.management
    }
}

pub(crate) fn login_as(url: &Url, login: &str, password: &str) -> Result<Url> {
    let mut url = url.clone();
    url.set_username(login)
        .and_then(|()| url.set_password(Some(password)))
        .ok()
        .context("the URL cannot hold a login")?;
    Ok(url)
}

impl Drop for ScratchVhost {
    fn drop(&mut self) {
        // Not with the client of the test's runtime, which may be shutting down.
        let (management, name) = (self.management.fresh(), self.name.clone());
        cleanup::finish(async move { management?.delete_vhost(&name).await });
    }
}
