//! The containers of docker-compose.yml, one of each, with PostgreSQL's port published by
//! tests/chaos/compose.yml so that the books can be read.

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
const VHOST: &str = "saga";

pub(super) struct Compose {
    root: PathBuf,
}

pub(super) async fn start(needs: Needs) -> Result<Ground> {
    ensure!(needs == Needs::default(), "cluster, clocks and links are for --target local");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let compose = Compose { root };
    compose.run(&["up", "--detach", "--build", "--wait"]).await?;
    let given = |name: &str, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
    let http = |port: String| Url::parse(&format!("http://127.0.0.1:{port}"));
    let mut urls = BTreeMap::new();
    let places = SERVICES.iter().copied().zip(8000..).chain([("simulator", 8010)]);
    for (service, port) in places {
        let port = given(&format!("{}_PORT", service.to_uppercase()), &port.to_string());
        urls.insert(service.to_owned(), http(port)?);
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
    Ok(Ground { http, urls, pools, sources, management: vec![management], vhost, control })
}

impl Compose {
    /// A command of `docker compose`.
    pub(super) async fn run(&self, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new("docker");
        command.args([
            "compose",
            "--file",
            "docker-compose.yml",
            "--file",
            "tests/chaos/compose.yml",
        ]);
        command.args(arguments).current_dir(&self.root).stdin(Stdio::null()).kill_on_drop(true);
        let ended = timeout(LIMIT, command.output()).await.context("docker takes too long")??;
        let said = String::from_utf8_lossy(&ended.stderr);
        ensure!(ended.status.success(), "docker compose {} failed: {said}", arguments.join(" "));
        Ok(())
    }
}
