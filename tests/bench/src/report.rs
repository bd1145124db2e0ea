//! The table and the JSON.

use crate::load::Measured;
use serde::Serialize;
use std::fmt::Write;

/// One kind of work, at each load that it was put under.
#[derive(Debug, Serialize)]
pub struct Row {
    pub name: &'static str,
    pub loads: Vec<(String, Measured)>,
    /// MiB at most: broker, orchestrator, the largest worker.
    pub peaks: [f64; 3],
    /// What the table has no column for.
    pub notes: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct Report {
    pub machine: Machine,
    pub rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
pub struct Machine {
    pub cores: usize,
    pub processor: String,
    pub load_before: String,
}

impl Machine {
    pub fn here() -> anyhow::Result<Self> {
        let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
        let processor = read("/proc/cpuinfo");
        let name = processor.lines().find_map(|line| line.strip_prefix("model name"));
        Ok(Machine {
            cores: std::thread::available_parallelism()?.get(),
            processor: name.unwrap_or("unknown").trim_start_matches([' ', '\t', ':']).to_owned(),
            load_before: read("/proc/loadavg").trim().to_owned(),
        })
    }
}

const HEAD: &str = "\
| what | load | sagas/s | p50 ms | p99 ms | CPU-s per 1,000 | broker | database | orchestrator | workers | messages | commits | WAL KB |
|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|
";

impl Report {
    pub fn table(&self) -> String {
        let mut text = HEAD.to_owned();
        for row in &self.rows {
            for (load, it) in &row.loads {
                let cpu = it.cost.cpu;
                // A load that only waits says nothing about what a saga costs.
                let _ = writeln!(
                    text,
                    "| {} | {load} | {:.0} | {:.1} | {:.1} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} | {:.1} | {:.2} | {:.1} |",
                    row.name,
                    it.rate,
                    it.p50,
                    it.p99,
                    cpu.total(),
                    cpu.broker,
                    cpu.database,
                    cpu.orchestrator,
                    cpu.workers,
                    it.cost.messages,
                    it.cost.commits,
                    it.cost.wal_bytes / 1000.0,
                );
            }
        }
        text.push('\n');
        for Row { name, peaks: [broker, orchestrator, worker], .. } in &self.rows {
            let _ = writeln!(
                text,
                "{name}: peak memory in MiB: broker {broker:.0}, orchestrator {orchestrator:.0}, largest worker {worker:.0}"
            );
        }
        for Row { name, notes, .. } in &self.rows {
            for note in notes {
                let _ = writeln!(text, "{name}: {note}");
            }
        }
        text
    }
}
