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
    /// What carries over to other machines, as far as the rows are there.
    pub ratios: Vec<(&'static str, f64)>,
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
    pub fn new(machine: Machine, rows: Vec<Row>) -> Self {
        let ratios = ratios(&rows);
        Report { machine, rows, ratios }
    }

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
        for (what, ratio) in &self.ratios {
            let _ = writeln!(text, "{ratio:.2}  {what}");
        }
        text.push('\n');
        for Row { name, peaks: [broker, orchestrator, worker], .. } in &self.rows {
            if *orchestrator == 0.0 {
                continue; // a floor
            }
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

/// Steps of an order that completes, and of the other saga.
const STEPS: (f64, f64) = (7.0, 4.0);
/// What a row of which every third saga goes back costs more than one of which none does, times
/// this, is what going back costs more than completing.
const THIRDS: f64 = 3.0;

fn ratios(rows: &[Row]) -> Vec<(&'static str, f64)> {
    let at = |name: &str, load: &str| {
        let row = rows.iter().find(|row| row.name == name)?;
        let found = match load {
            FULL => row.loads.last(),
            load => row.loads.iter().find(|(name, _)| name == load),
        };
        found.map(|(_, measured)| measured)
    };
    let rate = |name: &str| at(name, FULL).map(|it| it.rate);
    let p50 = |name: &str, load: &str| at(name, load).map(|it| it.p50);
    let cpu = |name: &str| at(name, FULL).map(|it| it.cost.cpu.total());
    let (saga, alone) = ("four steps", "four steps, a message each");
    let undone = "four steps, every third undone";
    let of = |one: Option<f64>, other: Option<f64>| Some(one? / other?);
    let ratios = [
        ("sagas/s, of the broker floor's", of(rate(saga), rate("broker floor"))),
        (
            "sagas/s with a message each, of the broker floor's",
            of(rate(alone), rate("broker floor")),
        ),
        ("sagas/s, of the database floor's", of(rate(saga), rate("database floor"))),
        ("sagas/s with packs, of those with a message each", of(rate(saga), rate(alone))),
        (
            "p50 of one in flight, of the broker floor's",
            of(p50(saga, "1 in flight"), p50("broker floor", "1 in flight")),
        ),
        (
            "p50 at 100/s, of the broker floor's",
            of(p50(saga, "100/s"), p50("broker floor", "100/s")),
        ),
        ("p50 at 500/s, of that at 100/s", of(p50(saga, "500/s"), p50(saga, "100/s"))),
        ("p50 at 1,000/s, of that at 100/s", of(p50(saga, "1000/s"), p50(saga, "100/s"))),
        (
            "CPU of a saga that goes back, of one that completes",
            of(cpu(undone), cpu(saga)).map(|mixed| 1.0 + (mixed - 1.0) * THIRDS),
        ),
        (
            "steps/s of orders, of those of sagas of four steps",
            of(rate("place-order"), rate(saga)).map(|orders| orders * STEPS.0 / STEPS.1),
        ),
    ];
    ratios.into_iter().filter_map(|(what, ratio)| Some((what, ratio?))).collect()
}

/// The load of a row that came last.
const FULL: &str = "saturation";
