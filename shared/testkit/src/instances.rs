//! A RabbitMQ and a PostgreSQL with administrator's logins.

use anyhow::{Context, Result, ensure};
use reqwest::Url;
use std::{
    env,
    path::{Path, PathBuf},
    process::Stdio,
    sync::atomic::{AtomicUsize, Ordering},
};
use tokio::process::Command;

/// Where a RabbitMQ and a PostgreSQL are. Clones are the same instances.
#[derive(Clone, Debug)]
pub struct Instances {
    /// Administrator.
    pub amqp: Url,
    /// Administrator; with the login in it.
    pub management: Url,
    /// Superuser.
    pub database: Url,
    /// The folder of instances that belong to one test alone.
    own: Option<PathBuf>,
}

impl Instances {
    /// Those that `scripts/with-instances` has started, shared by all tests of a run.
    pub fn shared() -> Result<Self> {
        Ok(Instances {
            amqp: url("AMQP_URL", env::var("AMQP_URL").ok())?,
            management: url("RABBITMQ_MANAGEMENT_URL", env::var("RABBITMQ_MANAGEMENT_URL").ok())?,
            database: url("DATABASE_URL", env::var("DATABASE_URL").ok())?,
            own: None,
        })
    }

    /// A fresh one of each kind asked for, for one test, which may kill it; the others are those of
    /// the run. Takes as long as RabbitMQ takes to boot.
    pub async fn own(rabbitmq: bool, postgres: bool) -> Result<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = run_dir()?.join(format!("own-{}-{number}", std::process::id()));
        let (broker, database) =
            tokio::join!(fresh(rabbitmq, "rabbitmq", &dir), fresh(postgres, "postgres", &dir));
        let (broker, database) = (broker?, database?);
        let own = |text: &str, name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            url(name, line.map(str::to_owned))
        };
        let mut instances = Instances { own: Some(dir), ..Instances::shared()? };
        if let Some(text) = broker {
            instances.amqp = own(&text, "AMQP_URL")?;
            instances.management = own(&text, "RABBITMQ_MANAGEMENT_URL")?;
        }
        if let Some(text) = database {
            instances.database = own(&text, "DATABASE_URL")?;
        }
        Ok(instances)
    }

    /// `rabbitmq` or `postgres`; `start`, `stop`, `kill` (as a crash) or `restart`.
    pub async fn control(&self, what: &str, verb: &str) -> Result<()> {
        let dir = self.own.as_ref().context("these instances are shared with other tests")?;
        script(what, verb, dir).await
    }

    pub(crate) fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// Removes instances of one test's own; shared ones stay.
    pub(crate) async fn remove(&self) -> Result<()> {
        let Some(dir) = &self.own else { return Ok(()) };
        script("rabbitmq", "remove", dir).await?;
        script("postgres", "remove", dir).await
    }

    /// The one password of every login that tests make on this PostgreSQL.
    pub(crate) fn database_password(&self) -> &str {
        self.database.password().unwrap_or("test")
    }

    /// The one password of every login that tests make on this RabbitMQ, where logins are shared by
    /// all virtual hosts.
    pub(crate) fn broker_password(&self) -> &str {
        self.amqp.password().unwrap_or("test")
    }
}

/// Where this run keeps what is removed at its end.
pub(crate) fn run_dir() -> Result<PathBuf> {
    let dir = env::var_os("INSTANCES_DIR")
        .context("run this through `scripts/with-instances cargo test …`, or `make test`")?;
    Ok(PathBuf::from(dir))
}

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// What the instance, if it is wanted, says of itself.
async fn fresh(wanted: bool, what: &str, dir: &Path) -> Result<Option<String>> {
    if !wanted {
        return Ok(None);
    }
    script(what, "start", dir).await?;
    let text = std::fs::read_to_string(dir.join(format!("{what}.env")));
    text.map(Some).with_context(|| format!("cannot read where {what} is"))
}

async fn script(name: &str, verb: &str, dir: &Path) -> Result<()> {
    let ended = Command::new(root().join("scripts").join(name))
        .arg(verb)
        .arg(dir)
        .env("POSTGRES_SAFE", "no")
        .stdin(Stdio::null())
        .output()
        .await
        .with_context(|| format!("cannot run scripts/{name}"))?;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.success(), "scripts/{name} {verb} failed: {said}");
    Ok(())
}

fn url(name: &str, value: Option<String>) -> Result<Url> {
    let value = value.with_context(|| {
        format!("{name} is not set: run this through `scripts/with-instances cargo test …`")
    })?;
    Url::parse(&value).with_context(|| format!("{name} is not a URL"))
}
