//! The file of failpoints that every process reads; see `runtime::failpoint`.

use anyhow::{Context, Result};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

#[derive(Debug, Default)]
struct Lines {
    next: u64,
    armed: BTreeMap<u64, String>,
}

/// Clones write the same file.
#[derive(Clone, Debug)]
pub struct Armed {
    file: PathBuf,
    lines: Arc<Mutex<Lines>>,
}

/// One failpoint, armed until it is dropped.
#[derive(Debug)]
pub struct Switch {
    all: Armed,
    id: u64,
}

impl Armed {
    pub fn new(folder: &Path) -> Result<Self> {
        let file = folder.join("failpoints");
        fs::write(&file, "").context("cannot write the failpoints")?;
        Ok(Armed { file, lines: Arc::default() })
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    /// `command` and `saga` may be `*`.
    pub fn arm(&self, place: &str, command: &str, saga: &str, action: &str) -> Result<Switch> {
        let mut lines = self.lines();
        lines.next += 1;
        let id = lines.next;
        lines.armed.insert(id, format!("{id} {place} {command} {saga} {action}"));
        self.write(&lines)?;
        Ok(Switch { all: self.clone(), id })
    }

    fn write(&self, lines: &Lines) -> Result<()> {
        let mut text = String::new();
        for line in lines.armed.values() {
            let _ = writeln!(text, "{line}");
        }
        // Nobody ever reads half of it.
        let new = self.file.with_extension("new");
        fs::write(&new, text).context("cannot write the failpoints")?;
        fs::rename(&new, &self.file).context("cannot write the failpoints")
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Switch {
    /// How often it has acted.
    pub fn fired(&self) -> u64 {
        let marker = self.all.file.with_extension(self.id.to_string());
        // Empty when another death came between the mark and its byte.
        fs::metadata(marker).map_or(0, |marker| marker.len().max(1))
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        let mut lines = self.all.lines();
        lines.armed.remove(&self.id);
        // Should it fail, the failpoint stays armed, and the cell that it disturbs tells.
        let _ = self.all.write(&lines);
    }
}
