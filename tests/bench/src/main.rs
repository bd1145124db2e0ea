//! `bench`: the whole benchmark; `bench ROW...` some rows of it. Progress goes to standard error,
//! the table to standard output, and the JSON to the file named by `BENCH_JSON`.

use anyhow::{Context, Result};
use bench::{
    broker_floor::{self, Pace},
    database_floor,
    four_steps::FourSteps,
    growth,
    load::{Load, Measured, Offer},
    orders::Orders,
    outage,
    process::Instances,
    report::{Machine, Report, Row},
};
use std::{
    io::Write,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

const ROWS: [&str; 7] = ["broker", "database", "saga", "alone", "undone", "orders", "declined"];
/// Rows that take too long to be part of the whole, each with its number: `outage=60`.
const LONG: [(&str, usize); 3] =
    [("outage", 20 /* s */), ("growth", 5_000_000 /* ended sagas */), ("soak", 500_000)];
/// In flight at saturation.
const WINDOW: usize = 1_000;
/// Sagas a second, and for how many seconds.
const STEADY: [(usize, usize); 3] = [(100, 5), (500, 5), (1_000, 5)];
/// For orders, which have nearly twice the steps.
const STEADY_ORDERS: [(usize, usize); 2] = [(50, 5), (100, 5)];
/// Every how many-th saga goes back, in the rows that measure that.
const FAILING: usize = 3;

#[tokio::main]
async fn main() -> Result<()> {
    let mut wanted: Vec<String> = std::env::args().skip(1).collect();
    if wanted.is_empty() {
        wanted = ROWS.map(str::to_owned).to_vec();
    }
    let instances = Instances::from_env()?;
    let machine = Machine::here()?;
    let mut rows = Vec::new();
    let begun = Instant::now();
    for (place, row) in wanted.iter().enumerate() {
        let progress = Progress { row, place, of: wanted.len(), begun };
        match row.as_str() {
            "broker" => rows.push(broker(&instances, progress).await?),
            "database" => rows.push(database(&instances, progress).await?),
            "saga" => rows.push(four_steps(&instances, progress, Sagas::Good).await?),
            "alone" => rows.push(four_steps(&instances, progress, Sagas::Unpacked).await?),
            "undone" => rows.push(four_steps(&instances, progress, Sagas::Failing).await?),
            "orders" => rows.push(orders(&instances, progress, 0).await?),
            "declined" => rows.push(orders(&instances, progress, FAILING).await?),
            other => rows.push(long(&instances, progress, other).await?),
        }
    }
    let report = Report::new(machine, rows);
    writeln!(std::io::stdout(), "{}", report.table())?;
    if let Some(file) = std::env::var_os("BENCH_JSON") {
        std::fs::write(&file, serde_json::to_vec_pretty(&report)?)
            .with_context(|| format!("cannot write {file:?}"))?;
    }
    Ok(())
}

async fn broker(instances: &Instances, progress: Progress<'_>) -> Result<Row> {
    let mut loads = Vec::new();
    for (place, (load, sagas, pace)) in [
        ("1 in flight", 200, Pace::InFlight(1)),
        ("100/s", 500, Pace::PerSecond(100)),
        ("1000 in flight", 20_000, Pace::InFlight(u32::try_from(WINDOW)?)),
    ]
    .into_iter()
    .enumerate()
    {
        progress.tell(load);
        let measured = broker_floor::run(instances, &place.to_string(), sagas, pace).await?;
        loads.push((load.to_owned(), measured));
    }
    Ok(Row { name: "broker floor", loads, peaks: [0.0; 3], notes: Vec::new() })
}

async fn database(instances: &Instances, progress: Progress<'_>) -> Result<Row> {
    progress.tell("batches of 200");
    let full = database_floor::run(instances, 40_000, 200).await?;
    Ok(Row {
        name: "database floor",
        loads: vec![("batches of 200".to_owned(), full)],
        peaks: [0.0; 3],
        notes: Vec::new(),
    })
}

async fn long(instances: &Instances, progress: Progress<'_>, row: &str) -> Result<Row> {
    let (name, number) = row.split_once('=').unwrap_or((row, ""));
    let known = LONG.iter().find(|(known, _)| *known == name);
    let Some(&(_, usual)) = known else {
        anyhow::bail!("there is no row {row:?}: there are {ROWS:?} and {LONG:?}")
    };
    let number = if number.is_empty() { usual } else { number.parse()? };
    let tell = |what: &str| progress.tell(what);
    match name {
        "outage" => outage::run(instances, number as u64, tell).await,
        "growth" => growth::growth(instances, i64::try_from(number)?, tell).await,
        _ => growth::soak(instances, number, tell).await,
    }
}

/// What is to be said of sagas of four steps.
#[derive(Clone, Copy, PartialEq)]
enum Sagas {
    Good,
    /// A message for each command and each reply.
    Unpacked,
    /// Every third goes back.
    Failing,
}

async fn four_steps(instances: &Instances, progress: Progress<'_>, sagas: Sagas) -> Result<Row> {
    progress.tell("starting");
    let (name, failing, variables): (_, _, &[_]) = match sagas {
        Sagas::Good => ("four steps", 0, &[]),
        Sagas::Unpacked => ("four steps, a message each", 0, &[("AMQP_PACK", "0")]),
        Sagas::Failing => ("four steps, every third undone", FAILING, &[]),
    };
    let stack = FourSteps::named(instances, "steps", variables).await?;
    stack.load.offer.failing.store(failing, Ordering::Relaxed);
    let loads = loads(&stack.load, &progress, &STEADY, WINDOW).await?;
    progress.tell("verifying");
    stack.verify().await?;
    Ok(Row { name, loads, peaks: stack.load.meter.peaks(), notes: Vec::new() })
}

async fn orders(instances: &Instances, progress: Progress<'_>, failing: usize) -> Result<Row> {
    progress.tell("starting");
    let stack = Orders::start(instances).await?;
    stack.load.offer.failing.store(failing, Ordering::Relaxed);
    let loads = loads(&stack.load, &progress, &STEADY_ORDERS, WINDOW).await?;
    progress.tell("verifying");
    stack.verify().await?;
    let name = if failing == 0 { "place-order" } else { "place-order, every third declined" };
    Ok(Row { name, loads, peaks: stack.load.meter.peaks(), notes: Vec::new() })
}

async fn loads<O: Offer>(
    load: &Load<O>,
    progress: &Progress<'_>,
    steady: &[(usize, usize)],
    window: usize,
) -> Result<Vec<(String, Measured)>> {
    progress.tell("warming up");
    load.saturated(4_000, WINDOW, Duration::from_secs(6)).await?;
    load.analyse().await?;
    let mut loads = Vec::new();
    progress.tell("one in flight");
    loads.push(("1 in flight".to_owned(), load.one_by_one(200, Duration::from_secs(4)).await?));
    for &(rate, seconds) in steady {
        progress.tell(&format!("{rate}/s offered"));
        loads.push((format!("{rate}/s"), load.steady(rate, seconds).await?));
    }
    let at_once = format!("{window} in flight");
    progress.tell(&at_once);
    loads.push((at_once, load.saturated(20_000, window, Duration::from_secs(10)).await?));
    Ok(loads)
}

/// One line for each thing begun.
struct Progress<'a> {
    row: &'a str,
    place: usize,
    of: usize,
    begun: Instant,
}

impl Progress<'_> {
    fn tell(&self, what: &str) {
        let seconds = self.begun.elapsed().as_secs();
        let bar: String =
            (0..self.of).map(|place| if place < self.place { '#' } else { '.' }).collect();
        eprintln!("[{bar}] {seconds:>3} s  {}: {what}", self.row);
    }
}
