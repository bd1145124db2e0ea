//! The containers of docker-compose.yml with its profile `chaos`: two of every service.

use super::{Control, Ground};
use crate::scenario::Needs;
use anyhow::{Context, Result, ensure};
use reqwest::Url;
use runtime::config::Redacted;
use sagactl::audit::{SERVICES, Sources};
use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{process::Command, time::timeout};

/// For one command; the first `up` builds the image.
const LIMIT: Duration = Duration::from_secs(1800);
/// For every process to be ready once its container runs.
const READY: Duration = Duration::from_secs(180);
const VHOST: &str = "saga";

const PROFILE: &str = "chaos";
/// Lines of a log that are told.
const TAIL: &str = "200";

pub(super) struct Compose {
    root: PathBuf,
}

/// `build` makes the image first; otherwise it is there.
pub(super) async fn start(needs: Needs, build: bool) -> Result<Ground> {
    ensure!(needs == Needs::default(), "cluster, clocks and links are for --target local");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let compose = Compose { root };
    let build = if build { "--build" } else { "--no-build" };
    compose.run(&["up", "--detach", build]).await?;
    let http = |port: String| Url::parse(&format!("http://127.0.0.1:{port}"));
    let mut urls = BTreeMap::new();
    let first = SERVICES.map(str::to_owned).into_iter().zip(8000..);
    let second = SERVICES.map(|service| format!("{service}-2")).into_iter().zip(8100..);
    for (name, port) in first.chain(second).chain([("simulator".to_owned(), 8010)]) {
        let variable = format!("{}_PORT", name.to_uppercase().replace('-', "_"));
        let port = given(&variable, &port.to_string());
        urls.insert(name, http(port)?);
    }
    let password = given("POSTGRES_PASSWORD", "dev-postgres");
    let port = given("POSTGRES_PORT", "15432");
    let (mut sources, mut pools) = (Sources::none()?, BTreeMap::new());
    for service in SERVICES {
        let url = format!("postgres://postgres:{password}@127.0.0.1:{port}/{service}");
        pools.insert(service, super::pool(&url)?);
        sources = sources.with_database(service, Redacted::new(url));
    }
    let mut management = http(given("RABBITMQ_MANAGEMENT_PORT", "15672"))?;
    let password = given("ADMIN_AMQP_PASSWORD", "dev-admin");
    let login = management.set_username("admin").and(management.set_password(Some(&password)));
    login.ok().context("the URL takes no login")?;
    let sources = sources
        .with_simulator(Redacted::new(urls["simulator"].as_str()))
        .with_broker(Redacted::new(management.as_str()), VHOST);
    let http = runtime::http_client::client()?;
    let (vhost, control) = (VHOST.to_owned(), Control::Compose(compose));
    let management = vec![management];
    let ground = Ground { http, urls, pools, sources, management, vhost, control };
    ground.wait_all_ready(READY).await?;
    Ok(ground)
}

/// As docker-compose.yml has it.
fn given(name: &str, default: &str) -> String {
    env::var(name).unwrap_or_else(|_| default.to_owned())
}

impl Compose {
    /// A command of `docker compose`; what it says.
    pub(super) async fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new("docker");
        command.args(["compose", "--profile", PROFILE]);
        command.args(arguments).current_dir(&self.root).stdin(Stdio::null()).kill_on_drop(true);
        let ended = timeout(LIMIT, command.output()).await.context("docker takes too long")??;
        let said = String::from_utf8_lossy(&ended.stderr);
        ensure!(ended.status.success(), "docker compose {} failed: {said}", arguments.join(" "));
        Ok(String::from_utf8_lossy(&ended.stdout).into_owned())
    }

    /// As `pause` and `unpause`, the second of which finds no container over podman, and says nothing.
    pub(super) async fn signal(&self, signal: &str, process: &str) -> Result<()> {
        self.run(&["kill", "--signal", signal, process]).await.map(drop)
    }

    /// Also of what these services have told before.
    pub(super) async fn leaks(
        &self,
        services: impl Iterator<Item = &str>,
        secrets: &[&str],
    ) -> Result<Vec<String>> {
        let arguments: Vec<&str> = ["logs", "--no-color"].into_iter().chain(services).collect();
        let passwords: Vec<String> = SERVICES
            .iter()
            .flat_map(|service| ["amqp", "database"].map(|of| format!("{service}-{of}")))
            .map(|name| {
                let variable = format!("{}_PASSWORD", name.to_uppercase().replace('-', "_"));
                given(&variable, &format!("dev-{name}"))
            })
            .collect();
        let passwords = passwords.iter().map(String::as_str);
        let secrets: Vec<&str> = secrets.iter().copied().chain(passwords).collect();
        Ok(super::lines_with(&self.run(&arguments).await?, &secrets))
    }

    /// The ends of these services' logs.
    pub(super) async fn logs(&self, services: impl Iterator<Item = &str>) -> Vec<(String, String)> {
        let mut logs = Vec::new();
        for service in services {
            let told = self.run(&["logs", "--no-color", "--tail", TAIL, service]).await;
            let log = told.unwrap_or_else(|error| format!("{error:#}"));
            logs.push((service.to_owned(), log));
        }
        logs
    }
}
