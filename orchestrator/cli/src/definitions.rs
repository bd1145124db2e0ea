//! `sagactl definitions`: what sagas there are and what they are made of.

use crate::{
    answer::{list, number, text},
    client::{Client, Error},
    everywhere::{Everywhere, Exit},
    table::{Column, Table},
    terminal::{Paint, say, width},
};
use anyhow::{Result, bail};
use clap::Subcommand;
use serde_json::{Value, json};

#[derive(Subcommand)]
pub enum Command {
    /// Every definition.
    List,
    /// A definition's steps, with their time limits and attempts.
    Show {
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// A definition as a Mermaid flow chart.
    Diagram {
        #[arg(value_name = "NAME")]
        name: String,
    },
}

impl Command {
    pub async fn run(self, at: &Everywhere) -> Result<Exit> {
        let client = at.orchestrator()?;
        match self {
            Command::List => {
                let all = client.get(&["definitions"], &Vec::new()).await?;
                at.tell(&all, listed)?;
            }
            Command::Show { name } => at.tell(&named(&client, &name).await?, shown)?,
            Command::Diagram { name } => {
                let definition = named(&client, &name).await?;
                let diagram = definition["diagram"].as_str().unwrap_or_default();
                match at.json {
                    true => at.tell(&json!({ "diagram": diagram }), |_| String::new())?,
                    false => say(&format!("{}\n", diagram.trim_end()))?,
                }
            }
        }
        Ok(Exit::Done)
    }
}

/// From the list where there is no page for one.
async fn named(client: &Client, name: &str) -> Result<Value> {
    match client.get(&["definitions", name], &Vec::new()).await {
        Err(Error::Problem(problem)) if problem.is_no() => {}
        answer => return Ok(answer?),
    }
    let all = client.get(&["definitions"], &Vec::new()).await?;
    let found = list(&all["items"]).iter().find(|one| one["name"] == name);
    match found {
        Some(found) => Ok(found.clone()),
        None => {
            let names: Vec<_> = list(&all["items"]).iter().map(|one| text(&one["name"])).collect();
            bail!("there is no definition {name}; there is {}", names.join(", "))
        }
    }
}

fn listed(all: &Value) -> String {
    let mut table = Table::new(&[
        Column::word("DEFINITION", 0),
        Column::number("VERSION", 0),
        Column::text("STEPS", 0),
    ]);
    for one in list(&all["items"]) {
        let steps: Vec<_> = list(&one["steps"]).iter().map(|step| text(&step["name"])).collect();
        let version = number(&one["version"]).to_string();
        table.row([text(&one["name"]).into(), version.into(), steps.join(", ").into()]);
    }
    table.fit(width(), Paint::for_stdout())
}

fn shown(one: &Value) -> String {
    let paint = Paint::for_stdout();
    let mut head = format!("{} v{}", paint.bold(&text(&one["name"])), one["version"]);
    if let Some(seconds) = one["deadline_seconds"].as_f64() {
        head += &format!(", ends within {seconds} s or goes back");
    }
    let mut table = Table::new(&[
        Column::number("STAGE", 3),
        Column::word("STEP", 0),
        Column::word("KIND", 1),
        Column::text("COMMAND", 0).least(30),
        Column::text("UNDONE BY", 4).least(24),
        Column::number("LIMIT", 2),
        Column::number("TRIES", 2),
    ]);
    for step in list(&one["steps"]) {
        let limit = step["timeout_seconds"].as_f64();
        table.row([
            number(&step["stage"]).to_string().into(),
            text(&step["name"]).into(),
            text(&step["kind"]).into(),
            text(&step["command"]).into(),
            text(&step["compensation"]).into(),
            limit.map(|limit| format!("{limit} s")).unwrap_or_default().into(),
            number(&step["attempts"]).to_string().into(),
        ]);
    }
    format!("{head}\n\n{}", table.fit(width(), paint))
}
