//! The processes under measurement, from the folder of this binary, with a database each.

use anyhow::{Context, Result, ensure};
use reqwest::Url;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, postgres::PgPoolOptions};
use std::{
    collections::BTreeMap,
    env,
    fs::{self, OpenOptions},
    net::TcpListener,
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::process::{Child, Command};

const PATIENCE: Duration = Duration::from_secs(30);

/// What `scripts/with-instances` has started; administrators' logins.
#[derive(Clone, Debug)]
pub struct Instances {
    pub amqp: Url,
    pub prometheus: Url,
    pub management: Url,
    pub database: Url,
    pub folder: PathBuf,
}

impl Instances {
    pub fn from_env() -> Result<Self> {
        let url = |name: &str| {
            let value = env::var(name).with_context(|| {
                format!("{name} is not set: run this through scripts/with-instances, or make bench")
            })?;
            Url::parse(&value).with_context(|| format!("{name} is not a URL"))
        };
        Ok(Instances {
            amqp: url("AMQP_URL")?,
            prometheus: url("RABBITMQ_PROMETHEUS_URL")?,
            management: url("RABBITMQ_MANAGEMENT_URL")?,
            database: url("DATABASE_URL")?,
            folder: env::var("INSTANCES_DIR").context("INSTANCES_DIR is not set")?.into(),
        })
    }

    /// An empty virtual host of its own.
    pub async fn vhost(&self, name: &str) -> Result<Url> {
        let client = runtime::http_client::client()?;
        let everything = r#"{"configure":".*","write":".*","read":".*"}"#;
        let login = self.amqp.username();
        for (path, body) in
            [(format!("vhosts/{name}"), "{}"), (format!("permissions/{name}/{login}"), everything)]
        {
            let request = client.put(self.management.join(&format!("api/{path}"))?);
            let request = request.header("content-type", "application/json").body(body);
            request.send().await?.error_for_status()?;
        }
        let mut url = self.amqp.clone();
        url.set_path(name);
        Ok(url)
    }

    /// An empty database of its own.
    pub async fn database(&self, name: &str) -> Result<Url> {
        let mut admin = PgConnection::connect(self.database.as_str()).await?;
        for statement in
            [format!("DROP DATABASE IF EXISTS {name}"), format!("CREATE DATABASE {name}")]
        {
            // Names are made here, of letters and underscores.
            sqlx::query(AssertSqlSafe(statement)).execute(&mut admin).await?;
        }
        admin.close().await?;
        let mut url = self.database.clone();
        url.set_path(name);
        Ok(url)
    }
}

pub fn pool(url: &Url) -> Result<PgPool> {
    Ok(PgPoolOptions::new().max_connections(4).connect_lazy(url.as_str())?)
}

/// One process; killed when dropped.
pub struct Process {
    pub name: String,
    pub port: u16,
    child: Child,
}

impl Process {
    /// `words` are its arguments, `env` all that it sees but `PATH`.
    pub fn start(
        instances: &Instances,
        name: &str,
        binary: &str,
        words: &[&str],
        port: u16,
        env: &BTreeMap<String, String>,
    ) -> Result<Self> {
        let file = instances.folder.join(format!("bench-{name}.log"));
        let log = OpenOptions::new().create(true).append(true).open(file)?;
        let child = Command::new(path(binary)?)
            .args(words)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .envs(env)
            .env("PORT", port.to_string())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {binary}"))?;
        Ok(Process { name: name.to_owned(), port, child })
    }

    pub fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// `STOP` or `CONT`: it is there and does nothing, as when its machine hangs.
    pub async fn signal(&self, signal: &str) -> Result<()> {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args(["-s", signal, &pid]).status().await?;
        ensure!(sent.success(), "{} does not take {signal}", self.name);
        Ok(())
    }

    pub async fn ready(&self) -> Result<()> {
        let client = runtime::http_client::client()?;
        let begun = Instant::now();
        loop {
            match client.get(self.url("/readyz")).send().await {
                Ok(answer) if answer.status().is_success() => return Ok(()),
                _ => ensure!(begun.elapsed() < PATIENCE, "{} is not ready", self.name),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Runs `<binary> migrate …` on a database.
pub async fn migrate(binary: &str, words: &[&str], database: &Url) -> Result<()> {
    let ended = Command::new(path(binary)?)
        .arg("migrate")
        .args(words)
        .env("DATABASE_URL", database.as_str())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.success(), "{binary} migrate failed: {said}");
    Ok(())
}

pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// The environment that every process here shares.
pub fn environment(amqp: &Url, database: Option<&Url>) -> BTreeMap<String, String> {
    let mut env = BTreeMap::from([
        ("AMQP_URL".to_owned(), amqp.to_string()),
        ("RUST_LOG".to_owned(), "info".to_owned()),
        ("LOG_FORMAT".to_owned(), "json".to_owned()),
    ]);
    env.extend(database.map(|url| ("DATABASE_URL".to_owned(), url.to_string())));
    // Settings under trial: BENCH_ENV_SAGA_OVERLAP=8 make bench.
    env.extend(
        std::env::vars()
            .filter_map(|(name, value)| Some((name.strip_prefix("BENCH_ENV_")?.to_owned(), value))),
    );
    env
}

fn path(binary: &str) -> Result<PathBuf> {
    let own = fs::canonicalize(env::current_exe()?)?;
    // A test's own binary is one folder below those of the packages.
    let found = own.ancestors().skip(1).take(2).map(|folder| folder.join(binary));
    let mut found = found.filter(|path| path.is_file());
    found.next().with_context(|| format!("{binary} is not built: use make bench, or make test"))
}
