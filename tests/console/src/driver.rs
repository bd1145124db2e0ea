//! ChromeDriver as a child process, which ends with the test.

use anyhow::{Context, Result};
use std::{env, ffi::OsStr, path::PathBuf, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

const LIMIT: Duration = Duration::from_secs(30);
const MISSING: &str = "no browser to test the console with: run `scripts/install tests`, or install \
     chromium and chromium-driver (names of Debian packages)";

/// Where a driver listens, as long as it is held.
#[derive(Debug)]
pub struct Driver {
    child: Child,
    /// Held so that the driver can go on writing.
    _said: Lines<BufReader<ChildStdout>>,
    pub address: String,
}

impl Driver {
    pub async fn start() -> Result<Self> {
        let program = found(&["chromedriver"]).context(MISSING)?;
        let mut child = Command::new(program)
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start chromedriver")?;
        let output = child.stdout.take().context("chromedriver has no output")?;
        let mut said = BufReader::new(output).lines();
        let port =
            timeout(LIMIT, port(&mut said)).await.context("chromedriver does not start")??;
        Ok(Driver { child, _said: said, address: format!("http://127.0.0.1:{port}") })
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Not killed: on SIGTERM it takes the browser with it.
        if let Some(pid) = self.child.id() {
            let _ = std::process::Command::new("kill").arg(pid.to_string()).status();
        }
    }
}

/// It chooses a free port and says which.
async fn port(said: &mut Lines<BufReader<ChildStdout>>) -> Result<u16> {
    while let Some(line) = said.next_line().await? {
        let Some((_, port)) = line.split_once("started successfully on port ") else { continue };
        return port.trim_end_matches('.').parse().with_context(|| format!("no port: {line}"));
    }
    anyhow::bail!("chromedriver has ended at once")
}

/// The browser that the driver is to start.
pub fn browser() -> Result<PathBuf> {
    found(&["chromium", "chromium-browser", "google-chrome"]).context(MISSING)
}

fn found(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let folders: Vec<_> = env::split_paths(&path).collect();
    let named =
        names.iter().flat_map(|name| folders.iter().map(move |dir| dir.join(OsStr::new(name))));
    named.into_iter().find(|file| file.is_file())
}
