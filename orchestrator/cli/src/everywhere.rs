//! What every command takes, and how every command ends.

use crate::{
    answer,
    client::{Client, Error, Service},
    terminal::say,
};
use clap::Args;
use serde_json::Value;
use std::process::ExitCode;

#[derive(Args, Debug)]
#[command(next_help_heading = "Everywhere")]
pub struct Everywhere {
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    pub json: bool,
    /// The orchestrator's address.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "ORCHESTRATOR_URL",
        hide_env_values = true,
        default_value = "http://localhost:8000"
    )]
    orchestrator: String,
    /// The order service's address.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "ORDERS_URL",
        hide_env_values = true,
        default_value = "http://localhost:8001"
    )]
    orders: String,
}

impl Everywhere {
    pub fn orchestrator(&self) -> Result<Client, Error> {
        Client::new(Service::Orchestrator, &self.orchestrator)
    }

    pub fn orders(&self) -> Result<Client, Error> {
        Client::new(Service::Orders, &self.orders)
    }

    /// The answer itself with `--json`, else what `text` makes of it.
    pub fn tell(&self, answer: &Value, text: impl FnOnce(&Value) -> String) -> std::io::Result<()> {
        say(&if self.json { answer::pretty(answer) } else { text(answer) })
    }
}

/// How it ended, for scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Done = 0,
    /// The answer is no.
    No = 1,
    /// Wrong use, or nobody answers.
    Unable = 2,
    /// Some of many.
    Partly = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}
