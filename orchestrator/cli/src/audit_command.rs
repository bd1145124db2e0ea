//! `sagactl audit`.

use crate::{
    everywhere::Exit,
    terminal::{Paint, say},
};
use anyhow::Result;
use clap::Args;
use orchestrator::duration;
use sagactl::audit::{self, Options, Sources};
use std::{fmt::Write as _, time::Duration};

const HELP: &str = "\
It reads, and never writes. Where from, the environment says:
  AUDIT_DATABASE_URL        one server; the service's name replaces the database's
  AUDIT_<SERVICE>_URL       one service's database (AUDIT_ORDER_URL, ...)
  SIMULATOR_URL             the books of the gateway and the carrier
  RABBITMQ_MANAGEMENT_URL   dead letters and queue depths, of the virtual host
  RABBITMQ_VHOST            (saga)
  SAGA_STEP_ATTEMPTS        as the orchestrators have it
What is not given is reported as not audited.

Exit code: 0 clean, 1 violations, 2 could not audit.";

#[derive(Args)]
#[command(after_help = HELP)]
pub struct Audit {
    /// Print the invariants instead of looking at them.
    #[arg(long)]
    list: bool,
    /// Only what has begun at most this long ago (90s, 10m, 2h, 3d).
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    since: Option<Duration>,
    /// How long something must stay broken to be reported: events may still be on their way.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = duration::parse)]
    settle: Duration,
    /// The orchestrators' SAGA_STEP_ATTEMPTS.
    #[arg(long, value_name = "NUMBER", env = "SAGA_STEP_ATTEMPTS", hide_env = true)]
    attempts: Option<u8>,
}

impl Audit {
    pub async fn run(self, json: bool) -> Result<Exit> {
        if self.list {
            say(&invariants(json)?)?;
            return Ok(Exit::Done);
        }
        let Audit { since, settle, attempts, .. } = self;
        // As for the orchestrator, 0 is to leave the definitions as they are.
        let attempts = attempts.filter(|attempts| *attempts > 0);
        let options = Options { since, settle, attempts };
        let report = audit::run(&Sources::from_env()?, &options).await?;
        let text = match json {
            true => serde_json::to_string_pretty(&report)? + "\n",
            false => report.table(Paint::for_stdout().colours),
        };
        say(&text)?;
        Ok(if report.clean { Exit::Done } else { Exit::No })
    }
}

fn invariants(json: bool) -> Result<String> {
    let listed = audit::list();
    if json {
        return Ok(serde_json::to_string_pretty(&listed)? + "\n");
    }
    let mut text = String::new();
    for one in listed {
        let _ = writeln!(text, "{:<30}  {}", one.name, one.says);
    }
    Ok(text)
}
