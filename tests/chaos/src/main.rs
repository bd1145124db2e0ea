//! `chaos`: see `chaos --help`, and `make chaos`.

use anyhow::{Context, Result, bail};
use chaos::{
    campaign::{Campaign, Settings},
    ground::Target,
    scenario::{Needs, SCENARIOS, Scenario},
    timeline::Strike,
    verdict::{Outcome, Verdict, table},
};
use clap::{Parser, Subcommand, ValueEnum};
use orchestrator::duration;
use std::{
    fs,
    io::Write as _,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};
use testkit::Random;

/// For coming to rest and for the audit, of a random run's time.
const REST: Duration = Duration::from_secs(30);

/// Breaks things under a steady load of orders, and shows that nothing is lost or happens twice.
///
/// Exit code: 0 passed, 1 a promise is broken, 2 inconclusive or not possible.
#[derive(Parser)]
#[command(name = "chaos")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print the scenarios and what each of them claims.
    List,
    /// Run scenarios by name, `all` of them, or a `random` mix.
    Run(Run),
}

#[derive(clap::Args)]
struct Run {
    #[arg(required = true)]
    scenarios: Vec<String>,
    /// How long a random mix takes, from the start of the system to the audit (90s, 3m, 1h).
    #[arg(long, default_value = "3m", value_parser = duration::parse)]
    duration: Duration,
    /// Decides what is broken, and when; printed first. Otherwise nobody chooses it.
    #[arg(long)]
    seed: Option<u64>,
    /// Orders a second.
    #[arg(long, default_value = "20", value_parser = clap::value_parser!(u32).range(1..=200))]
    rate: u32,
    /// Of every service, locally; there are two of each in containers.
    #[arg(long, default_value = "2", value_parser = clap::value_parser!(u16).range(1..=4))]
    instances: u16,
    #[arg(long, value_enum, default_value = "local")]
    target: Place,
    /// With containers: their image is there already.
    #[arg(long)]
    no_build: bool,
}

/// Of every service, in containers.
const CONTAINERS: u16 = 2;

#[derive(Clone, Copy, ValueEnum)]
enum Place {
    /// Processes of this machine; needs scripts/with-instances around it.
    Local,
    /// The containers of docker-compose.yml.
    Compose,
}

#[tokio::main]
async fn main() -> ExitCode {
    let ended = match Arguments::parse().command {
        Command::List => list(),
        // Whatever was started is removed when the run is dropped.
        Command::Run(run) => tokio::select! {
            ended = run.go() => ended,
            _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
        },
    };
    ended.unwrap_or_else(|error| {
        say(&format!("{error:#}\n"));
        ExitCode::from(2)
    })
}

/// A reader that has gone away is no reason to stop.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn list() -> Result<ExitCode> {
    for scenario in SCENARIOS {
        let (rounds, seconds) = (scenario.rounds, scenario.hold().as_secs());
        say(&format!("{:<20} {rounds} x {seconds:>2} s  {}\n", scenario.name, scenario.hypothesis));
    }
    Ok(ExitCode::SUCCESS)
}

impl Run {
    async fn go(self) -> Result<ExitCode> {
        let began = Instant::now();
        let target = match self.target {
            Place::Local => Target::Local,
            Place::Compose => Target::Compose { build: !self.no_build },
        };
        let instances = if target == Target::Local { self.instances } else { CONTAINERS };
        let settings = Settings { target, instances, rate: self.rate };
        let seed = self.seed.unwrap_or_else(Random::seed_of_now);
        say(&format!("seed {seed}, {} orders a second, {instances} of each service\n", self.rate));
        let (mut outcomes, mut complete) = (Vec::new(), true);
        if self.scenarios == ["random"] {
            let local = target == Target::Local;
            let clocks = local && chaos::ground::can_move_clocks();
            if local && !clocks {
                say("libfaketime is not installed: no clock jumps\n");
            }
            let needs = Needs { cluster: false, clocks, links: local };
            let mut campaign = Campaign::start(settings, needs).await?;
            let deadline = began + self.duration.saturating_sub(REST);
            let outcome = campaign.random(deadline, seed, &tell).await?;
            conclude(&campaign, outcome, &mut outcomes).await?;
            campaign.close().await;
        } else {
            let chosen = self.chosen(target)?;
            // A cluster is another system.
            for cluster in [false, true] {
                let chosen = chosen.iter().filter(|one| one.needs().cluster == cluster);
                let chosen: Vec<&&Scenario> = chosen.collect();
                if chosen.is_empty() {
                    continue;
                }
                let any = |need: fn(Needs) -> bool| chosen.iter().any(|one| need(one.needs()));
                let needs = Needs {
                    cluster,
                    clocks: any(|needs| needs.clocks),
                    links: any(|needs| needs.links),
                };
                let mut campaign = Campaign::start(settings, needs).await?;
                for scenario in chosen {
                    say(&format!("\n{}: {}\n", scenario.name, scenario.hypothesis));
                    match campaign.scenario(scenario, seed, &tell).await {
                        Ok(outcome) => conclude(&campaign, outcome, &mut outcomes).await?,
                        // The others may still tell something.
                        Err(error) => {
                            say(&format!("{} could not be run: {error:#}\n", scenario.name));
                            complete = false;
                        }
                    }
                }
                campaign.close().await;
            }
        }
        say(&format!("\n{}", table(&outcomes)));
        let mut verdict = Verdict::of_all(&outcomes);
        if verdict == Verdict::Passed && !complete {
            verdict = Verdict::Inconclusive;
        }
        let took = began.elapsed().as_secs();
        say(&format!("{} in {took} s; seed {seed}\n", verdict.as_str()));
        Ok(verdict.exit_code())
    }

    fn chosen(&self, target: Target) -> Result<Vec<&'static Scenario>> {
        if self.scenarios == ["all"] {
            let fits = |one: &&Scenario| target == Target::Local || one.needs() == Needs::default();
            return Ok(SCENARIOS.iter().filter(fits).collect());
        }
        let find = |name: &String| {
            Scenario::find(name)
                .with_context(|| format!("there is no {name}: `chaos list` names all"))
        };
        if self.scenarios.iter().any(|name| name == "all" || name == "random") {
            bail!("all and random stand alone");
        }
        self.scenarios.iter().map(find).collect()
    }
}

fn tell(strike: &Strike) {
    say(&format!("{strike}\n"));
}

/// Tells the story of what has not passed, and keeps the logs of what is broken.
async fn conclude(campaign: &Campaign, outcome: Outcome, all: &mut Vec<Outcome>) -> Result<()> {
    let verdict = outcome.verdict();
    if verdict != Verdict::Passed {
        say(&format!("{}: {}\n{}", outcome.name, verdict.as_str(), outcome.story()));
    }
    if verdict == Verdict::Violated {
        let folder = PathBuf::from(".run").join(format!("chaos-{}", outcome.name));
        fs::create_dir_all(&folder)?;
        for (process, log) in campaign.ground().logs().await {
            fs::write(folder.join(format!("{process}.log")), log)?;
        }
        say(&format!("the ends of all logs are in {}\n", folder.display()));
    }
    all.push(outcome);
    Ok(())
}
