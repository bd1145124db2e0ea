//! What processes have cost so far, from `/proc`.

use anyhow::{Context, Result};
use std::{fs, path::Path};

/// Clock ticks in a second: `sysconf(_SC_CLK_TCK)` on every Linux.
const TICKS: f64 = 100.0;

/// CPU seconds of a process, of those of its children that have ended, and of those that live.
pub fn cpu_seconds(pid: u32) -> f64 {
    let own =
        stat(pid).map_or(0.0, |fields| fields[11..15].iter().map(|text| number(text)).sum::<f64>());
    own / TICKS + children(pid).iter().map(|child| cpu_seconds(*child)).sum::<f64>()
}

/// The most memory that a process has held, in MiB.
pub fn peak_mib(pid: u32) -> f64 {
    mib(pid, "VmHWM:")
}

/// The memory that a process holds now, in MiB.
pub fn resident_mib(pid: u32) -> f64 {
    mib(pid, "VmRSS:")
}

fn mib(pid: u32, what: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(what));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0
}

/// A pid that `scripts/` has recorded.
pub fn recorded(file: &Path) -> Result<u32> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {file:?}"))?;
    let pid = text.split_whitespace().next().and_then(|pid| pid.parse().ok());
    pid.with_context(|| format!("{file:?} names no process"))
}

fn children(pid: u32) -> Vec<u32> {
    let file = format!("/proc/{pid}/task/{pid}/children");
    let text = fs::read_to_string(file).unwrap_or_default();
    text.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

/// The fields behind the name, which may hold blanks.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<String> = text.rsplit(") ").next()?.split(' ').map(str::to_owned).collect();
    (fields.len() > 15).then_some(fields)
}

fn number(text: &str) -> f64 {
    text.parse().unwrap_or_default()
}
