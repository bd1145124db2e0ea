//! The system under test, seen from outside: what it answers, what it counts, and its books.

mod compose;
mod local;

use crate::{fault::Peer, scenario::Needs};
use anyhow::{Context, Result, bail, ensure};
use compose::Compose;
use local::Local;
use reqwest::{Client, Method, RequestBuilder, Url};
use sagactl::audit::Sources;
use serde_json::Value;
use sqlx::{PgPool, postgres::PgPoolOptions};
use std::{collections::BTreeMap, time::Duration};
use testkit::Proxy;

/// For one question to a process. A frozen one answers nothing.
const ANSWER: Duration = Duration::from_secs(1);
/// For one question to the journal's database, also while it is being killed.
const ACQUIRE: Duration = Duration::from_secs(2);
/// For what an administrator asks.
pub const ADMIN: Duration = Duration::from_secs(10);

/// Processes on this machine, or the containers of docker-compose.yml.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Local,
    /// Whose image is made first, or is there already.
    Compose {
        build: bool,
    },
}

pub struct Ground {
    http: Client,
    /// Of every process, by name.
    urls: BTreeMap<String, Url>,
    pools: BTreeMap<&'static str, PgPool>,
    pub sources: Sources,
    /// Of every node, with the login in it.
    management: Vec<Url>,
    vhost: String,
    control: Control,
}

enum Control {
    Local(Box<Local>),
    Compose(Compose),
}

impl Ground {
    /// Two (or so) of every service but the simulator.
    pub async fn start(target: Target, instances: u16, needs: Needs) -> Result<Self> {
        match target {
            Target::Local => local::start(instances, needs).await,
            Target::Compose { build } => compose::start(needs, build).await,
        }
    }

    /// Stops and removes everything that it has started.
    pub async fn close(self) {
        for (_, pool) in self.pools {
            pool.close().await;
        }
        drop(self.control);
    }

    /// Names of all processes.
    pub fn processes(&self) -> impl Iterator<Item = &str> {
        self.urls.keys().map(String::as_str)
    }

    /// Instances of a service.
    pub fn instances<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a str> {
        self.processes().filter(move |name| {
            let rest = name.strip_prefix(service);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        })
    }

    pub fn request(&self, method: Method, process: &str, path: &str) -> Result<RequestBuilder> {
        let url = self.urls.get(process).with_context(|| format!("no {process}"))?.join(path)?;
        Ok(self.http.request(method, url).timeout(ANSWER))
    }

    pub fn pool(&self, service: &str) -> Result<&PgPool> {
        self.pools.get(service).with_context(|| format!("{service} has no database"))
    }

    /// The text behind `/metrics`, if it answers.
    pub async fn metrics(&self, process: &str) -> Result<String> {
        let answer = self.request(Method::GET, process, "/metrics")?.send().await?;
        Ok(answer.error_for_status()?.text().await?)
    }

    /// Whether it is ready, and what its parts say; an error when it does not answer.
    pub async fn readiness(&self, process: &str) -> Result<(bool, Value)> {
        let answer = self.request(Method::GET, process, "/readyz")?.send().await?;
        let ready = answer.status().is_success();
        Ok((ready, answer.json().await?))
    }

    /// What processes whose clocks can be moved believed the time to be when they last logged, in
    /// seconds since 1970. (The header `date` is no witness: it is not taken back with the clock.)
    pub async fn clocks(&self) -> Vec<(String, i64)> {
        match &self.control {
            Control::Local(local) => local.clocks().await,
            Control::Compose(_) => Vec::new(),
        }
    }

    /// Until every process is.
    pub async fn wait_all_ready(&self, limit: Duration) -> Result<()> {
        testkit::eventually(limit, "every process to be ready", async || {
            for process in self.processes() {
                let (ready, parts) = self.readiness(process).await?;
                ensure!(ready, "{process} is not ready: {parts}");
            }
            Ok(())
        })
        .await
    }

    pub async fn set_fault(&self, target: &str, mode: Value) -> Result<()> {
        let mut fault = mode;
        fault["target"] = target.into();
        let request = self.request(Method::PUT, "simulator", "/admin/faults")?.json(&fault);
        request.timeout(ADMIN).send().await?.error_for_status()?;
        Ok(())
    }

    /// What the gateway and the carrier have on their books.
    pub async fn ledger(&self) -> Result<Value> {
        let request = self.request(Method::GET, "simulator", "/admin/ledger")?;
        Ok(request.timeout(ADMIN).send().await?.error_for_status()?.json().await?)
    }

    /// RabbitMQ's management API of one node; `{vhost}` in the path is filled in.
    pub async fn manage(&self, method: Method, node: usize, path: &str) -> Result<Value> {
        let base = self.management.get(node).with_context(|| format!("no node {node}"))?;
        let url = base.join(&format!("api/{}", path.replace("{vhost}", &self.vhost)))?;
        let answer = self.http.request(method, url).timeout(ADMIN).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "the management API answered {status}: {text}");
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    pub fn nodes(&self) -> usize {
        self.management.len()
    }

    pub async fn kill(&self, process: &str) -> Result<()> {
        match &self.control {
            Control::Local(local) => local.kill(process).await,
            Control::Compose(compose) => compose.run(&["kill", process]).await.map(drop),
        }
    }

    pub async fn start_again(&self, process: &str) -> Result<()> {
        match &self.control {
            Control::Local(local) => local.launch(process).await,
            Control::Compose(compose) => compose.run(&["start", process]).await.map(drop),
        }
    }

    pub async fn freeze(&self, process: &str) -> Result<()> {
        match &self.control {
            Control::Local(local) => local.freeze(process).await,
            Control::Compose(compose) => compose.signal("SIGSTOP", process).await,
        }
    }

    pub async fn thaw(&self, process: &str) -> Result<()> {
        match &self.control {
            Control::Local(local) => local.thaw(process).await,
            Control::Compose(compose) => compose.signal("SIGCONT", process).await,
        }
    }

    /// `rabbitmq` or `postgres`: `kill` or `start`.
    pub async fn server(&self, what: &str, verb: &str) -> Result<()> {
        match &self.control {
            Control::Local(local) => local.instances().control(what, verb).await,
            Control::Compose(compose) => compose.run(&[verb, what]).await.map(drop),
        }
    }

    /// One node of a cluster: `kill` or `start`.
    pub async fn node(&self, node: usize, verb: &str) -> Result<()> {
        match &self.control {
            Control::Local(local) => local.instances().control_node(node, verb).await,
            Control::Compose(_) => bail!("there is one node only"),
        }
    }

    pub async fn rabbitmqctl(&self, arguments: &[&str]) -> Result<()> {
        match &self.control {
            Control::Local(local) => local.instances().rabbitmqctl(0, arguments).await.map(drop),
            Control::Compose(compose) => {
                let command = ["exec", "-T", "rabbitmq", "rabbitmqctl"];
                compose.run(&[command.as_slice(), arguments].concat()).await.map(drop)
            }
        }
    }

    /// The proxies in front of RabbitMQ or PostgreSQL, one for each process.
    pub fn links(&self, peer: Peer) -> Result<&[Proxy]> {
        match &self.control {
            Control::Local(local) => Ok(local.links(peer)),
            Control::Compose(_) => bail!("containers are linked without a proxy"),
        }
    }

    /// Moves the clocks that can be moved; the processes whose they are.
    pub fn set_clocks(&self, hours: i32) -> Result<Vec<String>> {
        match &self.control {
            Control::Local(local) => local.set_clocks(hours),
            Control::Compose(_) => bail!("containers have the clock of this machine"),
        }
    }

    /// The lines of all logs that hold one of these, or the password of a process.
    pub async fn leaks(&self, secrets: &[&str]) -> Result<Vec<String>> {
        match &self.control {
            Control::Local(local) => local.leaks(secrets).await,
            Control::Compose(compose) => compose.leaks(self.processes(), secrets).await,
        }
    }

    /// The end of every log, for whoever wants to know why.
    pub async fn logs(&self) -> Vec<(String, String)> {
        match &self.control {
            Control::Local(local) => local.logs().await,
            Control::Compose(compose) => compose.logs(self.processes()).await,
        }
    }
}

/// Whether this machine has what moves the clocks of single processes.
pub fn can_move_clocks() -> bool {
    local::faker().is_ok()
}

fn lines_with(log: &str, secrets: &[&str]) -> Vec<String> {
    let holds = |line: &&str| secrets.iter().any(|secret| line.contains(secret));
    log.lines().filter(holds).map(str::to_owned).collect()
}

/// With few connections, that give up soon.
fn pool(url: &str) -> Result<PgPool> {
    let options = PgPoolOptions::new().max_connections(3).acquire_timeout(ACQUIRE);
    Ok(options.connect_lazy(url)?)
}
