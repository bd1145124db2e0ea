//! `matrix`: see `matrix --help`, and `make matrix`.

use clap::Parser;
use matrix::{
    audit,
    fault::Fault,
    grid::{Grid, legend, say},
    ground::Ground,
    order_saga,
    report::Report,
    row::Row,
    runner, sabotage,
    selection::{Only, select},
};
use runtime::sabotage::Safety;
use std::{
    process::ExitCode,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// For anything that a cell waits for; it comes in less than a second on an idle machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Drives one order through every fault that can happen to every leg of the order saga.
#[derive(Parser)]
#[command(name = "matrix")]
struct Arguments {
    /// Only this cell: step:fault or step/undo:fault, where * is any. May be given several times.
    #[arg(long)]
    only: Vec<Only>,
    /// Print the report as JSON instead of the grid.
    #[arg(long)]
    json: bool,
    /// Decides the order of the cells.
    #[arg(long)]
    seed: Option<u64>,
    /// Switch a safety off (inbox, barrier, ack-last, confirm, wakeup, row-lock), and run the cells
    /// that must turn red, or those of --only.
    #[arg(long, value_parser = safety)]
    sabotage: Option<Safety>,
    /// Switch each safety off in turn, and check that the cells turn red that must.
    #[arg(long)]
    check_sabotage: bool,
    /// Print what the columns mean, and run nothing.
    #[arg(long)]
    legend: bool,
}

fn safety(name: &str) -> Result<Safety, String> {
    let found = Safety::ALL.into_iter().find(|safety| safety.as_str() == name);
    found.ok_or_else(|| {
        let all = Safety::ALL.map(Safety::as_str);
        format!("there is no safety {name:?}, but: {}", all.join(", "))
    })
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let rows = order_saga();
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |now| now.as_secs());
    let seed = arguments.seed.unwrap_or_else(clock);
    let green = if arguments.legend {
        say(&legend(&rows));
        true
    } else if arguments.check_sabotage {
        check_sabotage(&rows, seed, arguments.json).await?
    } else {
        run(&rows, seed, &arguments).await?
    };
    Ok(if green { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn run(rows: &[Row], seed: u64, arguments: &Arguments) -> anyhow::Result<bool> {
    let quiet = arguments.json;
    let cells = match arguments.sabotage {
        Some(safety) if arguments.only.is_empty() => sabotage::noticed_by(safety, rows),
        _ => select(rows, &arguments.only),
    };
    let began = Instant::now();
    if !quiet {
        let impossible = rows.len() * Fault::ALL.len() - select(rows, &[]).len();
        say(&format!(
            "{} cells ({impossible} combinations do not exist), seed {seed}\n{}\n",
            cells.len(),
            legend(rows)
        ));
    }
    let ground = Ground::start(arguments.sabotage, PATIENCE).await?;
    let grid = Grid::new(rows, &cells, quiet);
    let started = began.elapsed();
    let outcomes =
        runner::run(&ground, &cells, seed, &|progress| grid.hear(&progress, quiet)).await;
    let mut report = Report::new(rows, &outcomes, seed, began.elapsed());
    report.sabotage = arguments.sabotage.map(Safety::as_str);
    report.deaths = ground.deaths();
    if report.red == 0 {
        let audited = audit::audit(&ground).await;
        report.audit = Some(audited.map_err(|error| format!("{error:#}")));
    }
    let mut stories = String::new();
    for outcome in &outcomes {
        stories += &runner::explain(&ground, outcome).await;
    }
    ground.close().await;
    report.seconds = (began.elapsed().as_secs_f64() * 100.0).round() / 100.0;
    if quiet {
        say(&format!("{}\n", serde_json::to_string_pretty(&report)?));
        return Ok(report.is_green());
    }
    say(&format!("\n{}\n{stories}", grid.text()));
    match &report.audit {
        Some(Ok(said)) => say(&format!("{}\n", said.trim_end())),
        Some(Err(found)) => say(&format!("{found}\n")),
        None => {}
    }
    say(&format!(
        "{} green, {} red; {} deaths; {:.0} s, of which {:.0} s to start; seed {seed}\n",
        report.green,
        report.red,
        report.deaths,
        report.seconds,
        started.as_secs_f64(),
    ));
    Ok(report.is_green())
}

/// Whether every safety is missed by the cells that must miss it, and by nothing but its absence.
async fn check_sabotage(rows: &[Row], seed: u64, json: bool) -> anyhow::Result<bool> {
    let mut as_expected = true;
    let mut told = Vec::new();
    for safety in Safety::ALL.map(Some).into_iter().chain([None]) {
        let outcomes = match safety {
            Some(safety) => sabotage::without(safety, rows, seed).await?,
            None => sabotage::control(rows, seed).await?,
        };
        for outcome in outcomes {
            let cell = outcome.cell.to_string();
            let right = outcome.result.is_err() == safety.is_some();
            as_expected &= right;
            let why = outcome.result.err().map(|error| format!("{error:#}"));
            if json {
                let name = safety.map(Safety::as_str);
                told.push(serde_json::json!({ "sabotage": name, "cell": cell, "red": why }));
                continue;
            }
            let sign = if right { "✓" } else { "✗" };
            let name = safety.map_or("nothing", Safety::as_str);
            let colour = if why.is_some() { "red" } else { "green" };
            let why = why.unwrap_or_default();
            say(&format!("{sign} without {name:<8} {colour:<5} {cell:<42} {why}\n"));
        }
    }
    if json {
        say(&format!("{}\n", serde_json::to_string_pretty(&told)?));
    }
    Ok(as_expected)
}
