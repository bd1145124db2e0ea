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
    /// RabbitMQ's own metrics, where it tells any.
    pub prometheus: Option<Url>,
    /// Superuser.
    pub database: Url,
    /// The folder of instances that belong to one test alone.
    own: Option<PathBuf>,
    /// The other nodes of RabbitMQ's cluster.
    others: Vec<Node>,
}

/// A node of a cluster, as its folder says.
#[derive(Clone, Debug)]
struct Node {
    folder: PathBuf,
    amqp: Url,
    management: Url,
}

impl Instances {
    /// Those that `scripts/with-instances` has started, shared by all tests of a run.
    pub fn shared() -> Result<Self> {
        Ok(Instances {
            amqp: url("AMQP_URL", env::var("AMQP_URL").ok())?,
            management: url("RABBITMQ_MANAGEMENT_URL", env::var("RABBITMQ_MANAGEMENT_URL").ok())?,
            database: url("DATABASE_URL", env::var("DATABASE_URL").ok())?,
            prometheus: env::var("RABBITMQ_PROMETHEUS_URL").ok().and_then(|url| url.parse().ok()),
            own: None,
            others: Vec::new(),
        })
    }

    /// A fresh one of each kind asked for, for one test, which may kill it; the others are those of
    /// the run. RabbitMQ as a cluster of so many nodes; 0 is none. Takes as long as RabbitMQ takes to
    /// boot.
    pub async fn own(rabbitmq: u16, postgres: bool) -> Result<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = run_dir()?.join(format!("own-{}-{number}", std::process::id()));
        let (broker, database) =
            tokio::join!(fresh(rabbitmq > 0, "rabbitmq", &dir), fresh(postgres, "postgres", &dir));
        let (broker, database) = (broker?, database?);
        let mut instances = Instances { own: Some(dir.clone()), ..Instances::shared()? };
        if let Some(text) = broker {
            instances.amqp = said(&text, "AMQP_URL")?;
            instances.management = said(&text, "RABBITMQ_MANAGEMENT_URL")?;
            instances.prometheus = said(&text, "RABBITMQ_PROMETHEUS_URL").ok();
        }
        if let Some(text) = database {
            instances.database = said(&text, "DATABASE_URL")?;
        }
        // One after the other: each joins the first.
        for number in 2..=rabbitmq {
            let mut folder = dir.clone().into_os_string();
            folder.push(format!("-{number}"));
            let folder = PathBuf::from(folder);
            run("rabbitmq", &["start"], &folder, &[("RABBITMQ_JOINS", &dir)]).await?;
            let text = std::fs::read_to_string(folder.join("rabbitmq.env"))?;
            let (amqp, management) =
                (said(&text, "AMQP_URL")?, said(&text, "RABBITMQ_MANAGEMENT_URL")?);
            instances.others.push(Node { folder, amqp, management });
        }
        Ok(instances)
    }

    /// `rabbitmq` or `postgres`; `start`, `stop`, `kill` (as a crash) or `restart`.
    pub async fn control(&self, what: &str, verb: &str) -> Result<()> {
        script(what, verb, self.folder()?).await
    }

    /// The same for one node of a cluster, from 0.
    pub async fn control_node(&self, node: usize, verb: &str) -> Result<()> {
        script("rabbitmq", verb, self.node_folder(node)?).await
    }

    /// An administrator's URL of each node, and of its management API.
    pub fn nodes(&self) -> Vec<(Url, Url)> {
        let others = self.others.iter().map(|node| (node.amqp.clone(), node.management.clone()));
        [(self.amqp.clone(), self.management.clone())].into_iter().chain(others).collect()
    }

    /// What `rabbitmqctl` with these arguments says of a node, from 0.
    pub async fn rabbitmqctl(&self, node: usize, arguments: &[&str]) -> Result<String> {
        let arguments = [&["ctl"], arguments].concat();
        run("rabbitmq", &arguments, self.node_folder(node)?, &[]).await
    }

    fn folder(&self) -> Result<&Path> {
        self.own.as_deref().context("these instances are shared with other tests")
    }

    fn node_folder(&self, node: usize) -> Result<&Path> {
        let Some(other) = node.checked_sub(1) else { return self.folder() };
        let found = self.others.get(other).with_context(|| format!("there is no node {node}"))?;
        Ok(&found.folder)
    }

    pub(crate) fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// Removes instances of one test's own; shared ones stay.
    pub(crate) async fn remove(&self) -> Result<()> {
        let Some(dir) = &self.own else { return Ok(()) };
        for node in &self.others {
            script("rabbitmq", "remove", &node.folder).await?;
            std::fs::remove_dir_all(&node.folder)?;
        }
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
    run(name, &[verb], dir, &[]).await.map(drop)
}

/// `scripts/<name> <verb> <dir> [argument…]`; what it printed.
async fn run(
    name: &str,
    verb_and_arguments: &[&str],
    dir: &Path,
    env: &[(&str, &Path)],
) -> Result<String> {
    let (verb, arguments) = verb_and_arguments.split_first().context("no verb")?;
    let mut command = Command::new(root().join("scripts").join(name));
    command.arg(verb).arg(dir).args(arguments).envs(env.iter().copied());
    let ended = command
        .env("POSTGRES_SAFE", "no")
        .stdin(Stdio::null())
        .output()
        .await
        .with_context(|| format!("cannot run scripts/{name}"))?;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.success(), "scripts/{name} {verb} failed: {said}");
    Ok(String::from_utf8_lossy(&ended.stdout).into_owned())
}

/// The value of a line `NAME=value`.
fn said(text: &str, name: &str) -> Result<Url> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    url(name, line.map(str::to_owned))
}

fn url(name: &str, value: Option<String>) -> Result<Url> {
    let value = value.with_context(|| {
        format!("{name} is not set: run this through `scripts/with-instances cargo test …`")
    })?;
    Url::parse(&value).with_context(|| format!("{name} is not a URL"))
}
