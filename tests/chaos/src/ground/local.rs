//! Processes on this machine, over a RabbitMQ and a PostgreSQL of their own.

use super::{Control, Ground};
use crate::{fault::Peer, scenario::Needs};
use anyhow::{Context, Result, ensure};
use reqwest::Url;
use runtime::config::Redacted;
use sagactl::audit::{SERVICES, Sources};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
use testkit::{Instances, Proxy, Stack, With};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::sync::Mutex;
use uuid::Uuid;

const NODES: u16 = 3;
/// Those whose clocks can be moved.
const CLOCKS: [&str; 2] = ["orchestrator", "inventory"];
/// Lines of a log that are told.
const TAIL: usize = 200;

pub(super) struct Local {
    stack: Mutex<Stack>,
    instances: Instances,
    broker: Vec<Proxy>,
    database: Vec<Proxy>,
    clocks: BTreeMap<String, PathBuf>,
    /// Removed at the end.
    folder: PathBuf,
}

pub(super) async fn start(instances: u16, needs: Needs) -> Result<Ground> {
    let run = std::env::var_os("INSTANCES_DIR").map(PathBuf::from);
    let run = run.context("run this through scripts/with-instances, or make chaos")?;
    let folder = run.join(format!("chaos-{}", Uuid::new_v4().simple()));
    let faker = if needs.clocks { Some(faker()?) } else { None };
    let broker = if needs.cluster { With::OwnCluster(NODES) } else { With::OwnRabbitmq };
    let options = [With::OfEach(instances), broker, With::OwnPostgres, With::Only(&["simulator"])];
    let mut stack = Stack::start(&options).await?;
    fs::create_dir_all(&folder)?;
    let names: Vec<(String, &str)> =
        stack.processes().map(|(name, service)| (name.to_owned(), service)).collect();
    let (mut brokers, mut databases, mut clocks) = (Vec::new(), Vec::new(), BTreeMap::new());
    for (name, service) in names.iter().filter(|(_, service)| SERVICES.contains(service)) {
        let amqp = match needs.cluster {
            true => cluster(stack.env(name, "AMQP_URL")?, &stack.instances().nodes())?,
            false => through(stack.env(name, "AMQP_URL")?, &mut brokers).await?,
        };
        stack.set_env(name, "AMQP_URL", &amqp)?;
        let database = through(stack.env(name, "DATABASE_URL")?, &mut databases).await?;
        stack.set_env(name, "DATABASE_URL", &database)?;
        // The n-th order service asks the n-th orchestrator.
        if let Some(number) = name.strip_prefix("order-") {
            let url = stack.url(&format!("orchestrator-{number}"), "")?;
            stack.set_env(name, "ORCHESTRATOR_URL", &url)?;
        }
        let is_last =
            names.iter().rfind(|(_, other)| other == service) == Some(&(name.clone(), service));
        if let Some(faker) = &faker
            && CLOCKS.contains(service)
            && is_last
        {
            let file = folder.join(format!("{name}.clock"));
            set_clock(&file, 0)?;
            let variables = [
                ("LD_PRELOAD", faker.to_string_lossy()),
                ("FAKETIME_TIMESTAMP_FILE", file.to_string_lossy()),
                ("FAKETIME_NO_CACHE", "1".into()),
                // As when somebody sets the clock: what measures durations goes on.
                ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
                // So that the orchestrator says at every reply what it believes the time to be.
                ("RUST_LOG", "info,orchestrator=debug".into()),
            ];
            for (variable, value) in variables {
                stack.set_env(name, variable, &value)?;
            }
            clocks.insert(name.clone(), file);
        }
        stack.launch(name)?;
    }
    stack.wait_all_ready().await?;

    let url = |name: &str| anyhow::Ok(Url::parse(&stack.url(name, "/")?)?);
    let urls = names.iter().map(|(name, _)| anyhow::Ok((name.clone(), url(name)?)));
    let urls: BTreeMap<String, Url> = urls.collect::<Result<_>>()?;
    let (mut sources, mut pools) = (Sources::none()?, BTreeMap::new());
    for service in SERVICES {
        let database = stack.database(service)?.url();
        pools.insert(service, super::pool(database)?);
        sources = sources.with_database(service, Redacted::new(database));
    }
    let instances = stack.instances().clone();
    let management: Vec<Url> = instances.nodes().into_iter().map(|(_, url)| url).collect();
    let vhost = stack.vhost().name().to_owned();
    let sources = sources
        .with_simulator(Redacted::new(urls["simulator"].as_str()))
        .with_broker(Redacted::new(management[0].as_str()), &vhost);
    let stack = Mutex::new(stack);
    let local = Local { stack, instances, broker: brokers, database: databases, clocks, folder };
    let http = runtime::http_client::client()?;
    let control = Control::Local(Box::new(local));
    Ok(Ground { http, urls, pools, sources, management, vhost, control })
}

impl Local {
    pub(super) async fn kill(&self, process: &str) -> Result<()> {
        self.stack.lock().await.kill9(process).await
    }

    pub(super) async fn launch(&self, process: &str) -> Result<()> {
        self.stack.lock().await.launch(process)
    }

    pub(super) async fn freeze(&self, process: &str) -> Result<()> {
        self.stack.lock().await.freeze(process).await
    }

    pub(super) async fn thaw(&self, process: &str) -> Result<()> {
        self.stack.lock().await.thaw(process).await
    }

    pub(super) fn instances(&self) -> &Instances {
        &self.instances
    }

    pub(super) fn links(&self, peer: Peer) -> &[Proxy] {
        match peer {
            Peer::Broker => &self.broker,
            Peer::Database => &self.database,
        }
    }

    pub(super) fn set_clocks(&self, hours: i32) -> Result<Vec<String>> {
        ensure!(!self.clocks.is_empty(), "no clock can be moved here");
        for file in self.clocks.values() {
            set_clock(file, hours)?;
        }
        Ok(self.clocks.keys().cloned().collect())
    }

    pub(super) async fn clocks(&self) -> Vec<(String, i64)> {
        let stack = self.stack.lock().await;
        let last = |name: &String| {
            let log = stack.log_end(name).ok()?;
            // Behind the name of the process.
            let stamp = |line: &str| {
                let mut words = line.split_whitespace().take(2);
                words.find_map(|word| OffsetDateTime::parse(word, &Rfc3339).ok())
            };
            Some((name.clone(), log.lines().rev().find_map(stamp)?.unix_timestamp()))
        };
        self.clocks.keys().filter_map(last).collect()
    }

    pub(super) async fn leaks(&self, secrets: &[&str]) -> Result<Vec<String>> {
        let stack = self.stack.lock().await;
        let mut leaks = Vec::new();
        for (name, _) in stack.processes() {
            let urls = ["AMQP_URL", "DATABASE_URL"].map(|variable| stack.env(name, variable));
            let passwords: Vec<&str> = urls.into_iter().flatten().filter_map(password).collect();
            leaks.extend(super::lines_with(&stack.log(name)?, &[secrets, &passwords].concat()));
        }
        Ok(leaks)
    }

    pub(super) async fn logs(&self) -> Vec<(String, String)> {
        let stack = self.stack.lock().await;
        let end = |log: String| {
            let lines: Vec<&str> = log.lines().collect();
            lines[lines.len().saturating_sub(TAIL)..].join("\n")
        };
        let log = |name: &str| stack.log(name).map(end).unwrap_or_default();
        stack.processes().map(|(name, _)| (name.to_owned(), log(name))).collect()
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The same URL by way of a proxy.
async fn through(url: &str, proxies: &mut Vec<Proxy>) -> Result<String> {
    let mut url = Url::parse(url)?;
    let host = url.host_str().context("no host")?;
    let proxy = Proxy::start(format!("{host}:{}", url.port().context("no port")?)).await?;
    let set = url.set_host(Some("127.0.0.1")).is_ok() && url.set_port(Some(proxy.port)).is_ok();
    ensure!(set, "the URL takes no port");
    proxies.push(proxy);
    Ok(url.into())
}

/// The same URL with the list of all nodes.
fn cluster(url: &str, nodes: &[(Url, Url)]) -> Result<String> {
    let url = Url::parse(url)?;
    let host = |url: &Url| {
        format!("{}:{}", url.host_str().unwrap_or_default(), url.port().unwrap_or(5672))
    };
    let hosts: Vec<String> = nodes.iter().map(|(amqp, _)| host(amqp)).collect();
    let (user, password) = (url.username(), url.password().unwrap_or_default());
    Ok(format!("amqp://{user}:{password}@{}{}", hosts.join(","), url.path()))
}

/// Of a URL, which may name several hosts.
fn password(url: &str) -> Option<&str> {
    let (login, _) = url.split_once("://")?.1.rsplit_once('@')?;
    Some(login.split_once(':')?.1)
}

/// Where libfaketime is.
pub(super) fn faker() -> Result<PathBuf> {
    let folders = fs::read_dir("/usr/lib")?.filter_map(|entry| Some(entry.ok()?.path()));
    let paths = folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1"));
    let found = paths.into_iter().find(|path| path.is_file());
    found.context("libfaketime is not installed: `scripts/install chaos`, or the package faketime")
}

fn set_clock(file: &Path, hours: i32) -> Result<()> {
    fs::write(file, format!("{hours:+}h\n")).context("cannot set a clock")
}
