//! A real Prometheus that looks at a stack by the project's own rules.

use crate::hurried::{self, Addresses};
use anyhow::{Context as _, Result, ensure};
use reqwest::{Client, Url};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};
use testkit::{Stack, eventually};
use tokio::process::{Child, Command};

/// For one alert to fire or to clear, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

pub struct Prometheus {
    http: Client,
    base: Url,
    folder: PathBuf,
    /// Killed when it is dropped.
    _process: Child,
}

impl Prometheus {
    /// Returns when it has looked at everything once.
    pub async fn watching(stack: &Stack) -> Result<Self> {
        let services = stack.processes().map(|(name, _)| {
            let url: Url = stack.url(name, "/")?.parse()?;
            Ok((name.to_owned(), authority(&url)?))
        });
        let rabbitmq =
            stack.instances().prometheus.as_ref().context("RabbitMQ tells no metrics")?;
        let addresses = Addresses {
            services: services.collect::<Result<BTreeMap<_, _>>>()?,
            rabbitmq: authority(rabbitmq)?,
            vhost: stack.vhost().name().to_owned(),
        };
        let folder =
            std::env::temp_dir().join(format!("prometheus-{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir_all(&folder)?;
        let ours = |name: &str| fs::read_to_string(crate::monitoring().join(name));
        fs::write(folder.join("alerts.yml"), hurried::rules(&ours("alerts.yml")?)?)?;
        let configuration = hurried::configuration(&ours("prometheus.yml")?, &addresses)?;
        fs::write(folder.join("prometheus.yml"), configuration)?;

        let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let process = start(&folder, &listen.to_string())?;
        let prometheus = Prometheus {
            http: runtime::http_client::client()?,
            base: format!("http://{listen}/").parse()?,
            folder,
            _process: process,
        };
        let looked = eventually(PATIENCE, "Prometheus to see every target", async || {
            let up = prometheus.query("min(up)").await?;
            let expected = addresses.services.len() + 2;
            let count = prometheus.query(&format!("count(up) == {expected}")).await?;
            ensure!(
                up.len() == 1 && up[0]["value"][1] == "1" && count.len() == 1,
                "not all are up"
            );
            Ok(())
        })
        .await;
        looked.with_context(|| {
            fs::read_to_string(prometheus.folder.join("log")).unwrap_or_default()
        })?;
        Ok(prometheus)
    }

    /// The samples that an expression has now.
    pub async fn query(&self, expression: &str) -> Result<Vec<Value>> {
        let data = self.get("api/v1/query", &[("query", expression)]).await?;
        Ok(data["result"].as_array().cloned().unwrap_or_default())
    }

    /// Until nothing does.
    pub async fn silence(&self) -> Result<()> {
        eventually(PATIENCE, "no alert to fire", async || {
            let firing = self.active(|state| state == "firing").await?;
            ensure!(firing.is_empty(), "what fires is {firing:?}");
            Ok(())
        })
        .await
    }

    /// Until each of these has fired since `began`; some do so for a few seconds only.
    pub async fn fire(&self, alerts: &[&str], began: Instant) -> Result<()> {
        for alert in alerts {
            eventually(PATIENCE, &format!("{alert} to fire"), async || {
                let since = began.elapsed().as_millis().max(1);
                let fired = format!(
                    r#"count_over_time(ALERTS{{alertname="{alert}", alertstate="firing"}}[{since}ms])"#
                );
                let fired = self.query(&fired).await?;
                ensure!(!fired.is_empty(), "what is active is {:?}", self.active(|_| true).await?);
                Ok(())
            })
            .await?;
            eprintln!(
                "{:6.1} s after its fault began {alert} has fired",
                began.elapsed().as_secs_f64()
            );
        }
        Ok(())
    }

    /// Until none of these fires or is about to.
    pub async fn clear(&self, alerts: &[&str]) -> Result<()> {
        for alert in alerts {
            eventually(PATIENCE, &format!("{alert} to clear"), async || {
                let active = self.active(|_| true).await?;
                ensure!(!active.iter().any(|name| name == alert), "what is active is {active:?}");
                Ok(())
            })
            .await?;
            eprintln!("{alert} is clear");
        }
        Ok(())
    }

    async fn active(&self, state: impl Fn(&str) -> bool) -> Result<Vec<String>> {
        let data = self.get("api/v1/alerts", &[]).await?;
        let alerts = data["alerts"].as_array().into_iter().flatten();
        let active = alerts.filter(|alert| alert["state"].as_str().is_some_and(&state));
        let names = active.filter_map(|alert| alert["labels"]["alertname"].as_str());
        Ok(names.map(str::to_owned).collect())
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value> {
        let mut url = self.base.join(path)?;
        url.query_pairs_mut().extend_pairs(query);
        let answer = self.http.get(url).send().await?;
        let mut body: Value = answer.json().await?;
        ensure!(body["status"] == "success", "Prometheus: {}", body["error"]);
        Ok(body["data"].take())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn start(folder: &Path, listen: &str) -> Result<Child> {
    let log = File::create(folder.join("log"))?;
    Command::new("prometheus")
        .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
        .arg(format!("--web.listen-address={listen}"))
        .arg("--log.level=warn")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .context("prometheus cannot be started: scripts/install tests")
}

fn authority(url: &Url) -> Result<String> {
    let host = url.host_str().context("no host")?;
    Ok(format!("{host}:{}", url.port_or_known_default().context("no port")?))
}
