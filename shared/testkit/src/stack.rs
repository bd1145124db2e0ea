//! The whole system as real processes over a virtual host and databases of its own.

mod client;
mod metrics;
mod setting;
mod waiting;

use crate::{
    Instances, PATIENCE, ScratchDb, ScratchVhost, cleanup, eventually, instances::run_dir, logins,
    process::Process,
};
use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::atomic::AtomicBool,
    time::Duration,
};
use tokio::sync::{Semaphore, SemaphorePermit};
use uuid::Uuid;

/// Every service with a database and a login.
pub const SERVICES: [&str; 7] =
    ["orchestrator", "order", "inventory", "payment", "notification", "shipping", "analytics"];
const SIMULATOR: &str = "simulator";

/// Stacks that live at the same time in one test process; each is eight processes.
static PLACES: Semaphore = Semaphore::const_new(2);

/// What a test wants other than the whole stack as it is in production.
#[derive(Clone, Copy, Debug)]
pub enum With {
    /// So many orchestrators; the others than the first are `orchestrator-2`, `orchestrator-3`, ….
    Orchestrators(u16),
    /// So many of every service but the simulator, named likewise.
    OfEach(u16),
    /// A process, a variable, its value. `FAILPOINTS` act once, not again after a restart.
    Env(&'static str, &'static str, &'static str),
    /// A variable of every process.
    EnvOfAll(&'static str, &'static str),
    /// Its database and logins are there; [`Stack::restart`] starts it.
    Stopped(&'static str),
    /// Nothing but these, the others as with [`With::Stopped`].
    Only(&'static [&'static str]),
    /// A RabbitMQ that no other test uses, to kill and restart.
    OwnRabbitmq,
    /// The same as a cluster of so many nodes. Processes are told of the first one only.
    OwnCluster(u16),
    /// A PostgreSQL that no other test uses, to kill and restart.
    OwnPostgres,
}

/// Ends and removes everything when dropped. Fields are dropped in this order: the processes, then
/// a test's own instances as a whole, otherwise what is left on the shared ones.
pub struct Stack {
    processes: Vec<Process>,
    instances: Remover,
    http: reqwest::Client,
    vhost: ScratchVhost,
    databases: BTreeMap<&'static str, ScratchDb>,
    folder: PathBuf,
    /// Whether a failure has been explained: once is enough.
    told: AtomicBool,
    _place: SemaphorePermit<'static>,
}

impl Stack {
    /// Returns when every process is ready.
    pub async fn start(options: &[With]) -> Result<Self> {
        let place = PLACES.acquire().await?;
        let nodes = options.iter().find_map(|option| match option {
            With::OwnRabbitmq => Some(1),
            With::OwnCluster(nodes) => Some(*nodes),
            _ => None,
        });
        let rabbitmq = nodes.unwrap_or(0);
        let postgres = options.iter().any(|option| matches!(option, With::OwnPostgres));
        let instances = match rabbitmq > 0 || postgres {
            true => Instances::own(rabbitmq, postgres).await?,
            false => Instances::shared()?,
        };
        let instances = Remover(instances);
        let folder = run_dir()?.join(format!("stack-{}", Uuid::new_v4().simple()));
        std::fs::create_dir_all(&folder)?;
        let vhost = ScratchVhost::create_on(&instances.0).await?;
        let databases = SERVICES.map(|service| setting::database(&instances.0, service));
        let (_, databases) =
            tokio::try_join!(logins::on_rabbitmq(&instances.0, &vhost), try_join_all(databases))?;
        let databases = SERVICES.into_iter().zip(databases).collect();
        let processes = setting::processes(options, &instances.0, &vhost, &databases, &folder)?;
        let http = runtime::http_client::client()?;
        let told = AtomicBool::new(false);
        let mut stack =
            Stack { processes, http, vhost, databases, instances, folder, told, _place: place };
        let stopped = |process: &Process| {
            options.iter().any(|with| match with {
                With::Stopped(name) => *name == process.name,
                With::Only(names) => !names.contains(&process.name.as_str()),
                _ => false,
            })
        };
        for process in stack.processes.iter_mut().filter(|process| !stopped(process)) {
            process.start()?;
        }
        stack.wait_all_ready().await?;
        Ok(stack)
    }

    /// SIGKILL; returns when it is gone.
    pub async fn kill9(&mut self, name: &str) -> Result<()> {
        self.process_mut(name)?.kill9().await
    }

    /// SIGTERM; returns when it has ended in its own time.
    pub async fn stop(&mut self, name: &str) -> Result<ExitStatus> {
        let ended = self.process_mut(name)?.stop().await;
        self.explained(None, ended).await
    }

    /// Starts it again, after stopping it if it runs, and returns when it is ready.
    pub async fn restart(&mut self, name: &str) -> Result<()> {
        let process = self.process_mut(name)?;
        if process.is_running() {
            process.stop().await?;
        }
        process.start()?;
        self.wait_all_ready().await
    }

    /// Starts it, and does not wait for it to be ready (nothing may be there for it to use).
    pub fn launch(&mut self, name: &str) -> Result<()> {
        self.process_mut(name)?.start()
    }

    /// For its next start.
    pub fn set_env(&mut self, name: &str, variable: &str, value: &str) -> Result<()> {
        let folder = self.folder.clone();
        setting::set(self.process_mut(name)?, &folder, variable, value);
        Ok(())
    }

    /// What it is started with.
    pub fn env(&self, name: &str, variable: &str) -> Result<&str> {
        let value = self.process(name)?.env.get(variable);
        value.map(String::as_str).with_context(|| format!("{name} has no {variable}"))
    }

    /// Until it has ended by itself, as at a failpoint.
    pub async fn wait_exit(&mut self, name: &str, limit: Duration) -> Result<ExitStatus> {
        let ended = self.process_mut(name)?.wait_exit(limit).await;
        self.explained(None, ended).await
    }

    /// SIGSTOP: it stands still, and keeps its connections and locks.
    pub async fn freeze(&self, name: &str) -> Result<()> {
        self.process(name)?.signal("STOP").await
    }

    /// SIGCONT: it goes on where it was.
    pub async fn thaw(&self, name: &str) -> Result<()> {
        self.process(name)?.signal("CONT").await
    }

    /// Every process with the service that it is an instance of.
    pub fn processes(&self) -> impl Iterator<Item = (&str, &'static str)> {
        self.processes.iter().map(|process| (process.name.as_str(), process.service))
    }

    /// Whether it runs now.
    pub fn is_running(&mut self, name: &str) -> Result<bool> {
        Ok(self.process_mut(name)?.is_running())
    }

    /// Where each process has its log, `<name>.log`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// All that it has logged.
    pub fn log(&self, name: &str) -> Result<String> {
        self.process(name)?.log()
    }

    /// The last few kilobytes of that.
    pub fn log_end(&self, name: &str) -> Result<String> {
        Ok(self.process(name)?.tail())
    }

    /// `stop`, `kill` (as a crash), `start` or `restart` its RabbitMQ. Needs [`With::OwnRabbitmq`].
    pub async fn rabbitmq(&self, verb: &str) -> Result<()> {
        self.instances.0.control("rabbitmq", verb).await
    }

    /// `stop`, `kill` (as a crash), `start` or `restart` its PostgreSQL. Needs
    /// [`With::OwnPostgres`].
    pub async fn postgres(&self, verb: &str) -> Result<()> {
        self.instances.0.control("postgres", verb).await
    }

    /// What it stands on, to be controlled while others use the stack.
    pub fn instances(&self) -> &Instances {
        &self.instances.0
    }

    /// As the administrator: `amqp://…/vhost`.
    pub fn amqp_url(&self) -> &str {
        self.vhost.url()
    }

    pub fn vhost(&self) -> &ScratchVhost {
        &self.vhost
    }

    /// A service's database, with the service's own role.
    pub fn database(&self, service: &str) -> Result<&ScratchDb> {
        self.databases.get(service).with_context(|| format!("{service} has no database"))
    }

    /// Until every process that runs now says that it is ready.
    pub async fn wait_all_ready(&mut self) -> Result<()> {
        let urls: Vec<_> = self
            .processes
            .iter_mut()
            .filter_map(|process| process.is_running().then(|| process.name.clone()))
            .collect();
        let ready = eventually(PATIENCE, "every process to be ready", async || {
            for name in &urls {
                let answer = self.http.get(self.url(name, "/readyz")?).send().await;
                let answer = answer.with_context(|| format!("{name} does not answer"))?;
                let status = answer.status();
                let body = answer.text().await?;
                ensure!(status.is_success(), "{name} is not ready: {status} {body}");
            }
            Ok(())
        })
        .await;
        self.explained(None, ready).await
    }

    fn process(&self, name: &str) -> Result<&Process> {
        let found = self.processes.iter().find(|process| process.name == name);
        found.with_context(|| format!("there is no {name} in this stack"))
    }

    fn process_mut(&mut self, name: &str) -> Result<&mut Process> {
        let found = self.processes.iter_mut().find(|process| process.name == name);
        found.with_context(|| format!("there is no {name} in this stack"))
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // Before the databases and the virtual host are taken from under them.
        self.processes.clear();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Takes a test's own instances away, with everything that lives on them.
struct Remover(Instances);

impl Drop for Remover {
    fn drop(&mut self) {
        let instances = self.0.clone();
        if instances.is_own() {
            cleanup::finish(async move { instances.remove().await });
        }
    }
}
