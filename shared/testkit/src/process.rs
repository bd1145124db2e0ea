use crate::{PATIENCE, instances::run_dir};
use anyhow::{Context, Result, ensure};
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{Read, Seek, SeekFrom},
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

/// How much of a log a failed test shows.
const TAIL: u64 = 6_000;

/// One service as a child process, which may end and be started again.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) name: String,
    pub(crate) service: &'static str,
    pub(crate) port: u16,
    pub(crate) env: BTreeMap<String, String>,
    log: PathBuf,
    child: Option<Child>,
}

impl Process {
    pub(crate) fn new(name: String, service: &'static str, port: u16, log: PathBuf) -> Self {
        Process { name, service, port, env: BTreeMap::new(), log, child: None }
    }

    /// Starts it, unless it runs.
    pub(crate) fn start(&mut self) -> Result<()> {
        if self.is_running() {
            return Ok(());
        }
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let child = Command::new(binary(self.service)?)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .envs(&self.env)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", self.name))?;
        record(&child)?;
        self.child = Some(child);
        Ok(())
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// SIGKILL, and returns when it is gone.
    pub(crate) async fn kill9(&mut self) -> Result<()> {
        let child = self.child.as_mut().with_context(|| format!("{} is not there", self.name))?;
        child.start_kill().with_context(|| format!("{} has already ended", self.name))?;
        self.wait_exit(PATIENCE).await?;
        Ok(())
    }

    /// SIGTERM, and returns when it has ended in its own time.
    pub(crate) async fn stop(&mut self) -> Result<ExitStatus> {
        self.signal("TERM").await?;
        self.wait_exit(PATIENCE).await
    }

    /// `TERM`, `STOP`, `CONT`, ….
    pub(crate) async fn signal(&self, signal: &str) -> Result<()> {
        let pid = self.child.as_ref().and_then(Child::id);
        let pid = pid.with_context(|| format!("{} does not run", self.name))?;
        let sent = Command::new("kill").arg(format!("-{signal}")).arg(pid.to_string()).status();
        ensure!(sent.await?.success(), "{} cannot be signalled", self.name);
        Ok(())
    }

    pub(crate) async fn wait_exit(&mut self, limit: Duration) -> Result<ExitStatus> {
        let child = self.child.as_mut().with_context(|| format!("{} is not there", self.name))?;
        let pid = child.id();
        let ended = timeout(limit, child.wait())
            .await
            .with_context(|| format!("{} still runs after {limit:?}", self.name))??;
        if let Some(pid) = pid {
            let _ = fs::remove_file(record_of(pid)?);
        }
        Ok(ended)
    }

    /// The end of its log.
    pub(crate) fn tail(&self) -> String {
        let read = || -> std::io::Result<String> {
            let mut file = File::open(&self.log)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        read().unwrap_or_else(|error| format!("(no log: {error})"))
    }

    /// The whole of its log.
    pub(crate) fn log(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(&self.log)?).into_owned())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let Some(child) = &mut self.child else { return };
        let record = child.id().map(record_of);
        // It is also reaped by the runtime; gone before what it uses is taken away.
        let _ = child.start_kill();
        if let Some(Ok(record)) = record {
            let _ = fs::remove_file(record);
        }
    }
}

/// Beside the executable that asks, or above it: `target/debug/order` for `target/debug/matrix` and
/// for `target/debug/deps/specs-…`.
pub(crate) fn binary(service: &str) -> Result<PathBuf> {
    let asks = std::env::current_exe()?;
    let folders = asks.ancestors().skip(1).take(2);
    let found = folders.map(|folder| folder.join(service)).find(|path| path.is_file());
    found.with_context(|| format!("{service} is not built: run `cargo build --workspace --bins`"))
}

/// So that `scripts/with-instances` can end it should this process die without a drop: pid and
/// start time, as in `scripts/lib/processes.sh`.
fn record(child: &Child) -> Result<()> {
    let Some(pid) = child.id() else { return Ok(()) };
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return Ok(()) };
    let since = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(19)).unwrap_or("0");
    fs::write(record_of(pid)?, format!("{pid} {since}\n")).context("cannot record a process")
}

fn record_of(pid: u32) -> Result<PathBuf> {
    Ok(run_dir()?.join("processes").join(pid.to_string()))
}
