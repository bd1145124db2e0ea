//! Runs worlds: from a seed for some seconds, or one seed with its whole story.

#![allow(clippy::print_stdout, reason = "a command-line tool")]

use anyhow::{Context, Result, bail};
use simulation::{Report, Sabotage, Simulation, Told};
use std::time::{Duration, Instant};

const USAGE: &str = "sim [--seconds S | --seeds N | --seed N] [--from SEED] [--sabotage WORD]";

struct Arguments {
    seconds: u64,
    seeds: Option<u64>,
    seed: Option<u64>,
    from: u64,
    sabotage: Option<Sabotage>,
}

fn main() -> Result<()> {
    let arguments = read(std::env::args().skip(1)).context(USAGE)?;
    let mut simulation = Simulation::default();
    simulation.sabotage = arguments.sabotage;
    if let Some(seed) = arguments.seed {
        return one(&simulation, seed);
    }
    many(&simulation, &arguments)
}

fn read(mut words: impl Iterator<Item = String>) -> Result<Arguments> {
    // Another run tries other seeds; the first one is printed.
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let mut arguments = Arguments {
        seconds: 60,
        seeds: None,
        seed: None,
        from: clock.as_millis() as u64,
        sabotage: None,
    };
    while let Some(word) = words.next() {
        let value = words.next().with_context(|| format!("{word} what?"))?;
        match word.as_str() {
            "--seconds" => arguments.seconds = value.parse()?,
            "--seeds" => arguments.seeds = Some(value.parse()?),
            "--seed" => arguments.seed = Some(value.parse()?),
            "--from" => arguments.from = value.parse()?,
            "--sabotage" => {
                arguments.sabotage = Some(value.parse().map_err(anyhow::Error::msg)?);
            }
            other => bail!("what is {other}?"),
        }
    }
    Ok(arguments)
}

/// One world with its story.
fn one(simulation: &Simulation, seed: u64) -> Result<()> {
    let world = simulation.world(seed, Told::Yes);
    println!("{}", world.timeline);
    match world.violation {
        None => println!("seed {seed}: sound"),
        Some(violation) => bail!("seed {seed}: {}", violation.what),
    }
    Ok(())
}

fn many(simulation: &Simulation, arguments: &Arguments) -> Result<()> {
    let began = Instant::now();
    let limit = Duration::from_secs(arguments.seconds);
    println!("seeds from {}", arguments.from);
    let mut report = Report::default();
    for seed in arguments.from.. {
        let over = match arguments.seeds {
            Some(seeds) => report.seeds >= seeds,
            None => began.elapsed() >= limit,
        };
        if over {
            break;
        }
        let world = simulation.world(seed, Told::No);
        report.add(&world);
        if let Some(violation) = world.violation {
            let again = simulation.world(seed, Told::Yes);
            println!("{}", again.timeline);
            let sabotage = simulation.sabotage.map(|it| format!(" --sabotage {}", it.word()));
            bail!(
                "seed {seed}, saga {:?}: {}\nreplay: cargo run -p simulation --bin sim -- --seed {seed}{}",
                violation.saga,
                violation.what,
                sabotage.unwrap_or_default()
            );
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("{report}{:.0} sagas per second", report.sagas as f64 / seconds);
    match report.missing().as_slice() {
        [] => Ok(()),
        missing => bail!("never happened, so nothing is known about it: {}", missing.join("; ")),
    }
}
