//! `sagactl sagas`: what runs, what is stuck, why, and what an operator does about it.

mod counts;
mod explain;
mod filter;
mod verbs;

use crate::{
    answer::{list, text, word},
    everywhere::{Everywhere, Exit},
    follow::Follow,
    moment::relative,
    story,
    table::{Cell, Column, Table},
    terminal::{Colour, Paint, width},
    watch::watch,
};
use anyhow::Result;
use clap::{Args, Subcommand};
pub use counts::head;
use filter::Filter;
use orchestrator::duration;
use serde_json::Value;
use std::time::Duration;
use uuid::Uuid;

#[derive(Subcommand)]
pub enum Command {
    /// Sagas, newest first.
    List(List),
    /// One saga's whole story.
    Show(Show),
    /// A saga's story as it happens, to its end.
    Watch(Watch),
    /// Why a saga is where it is, what it waits for, and what can be asked of it.
    Explain {
        #[arg(value_name = "SAGA")]
        saga: Uuid,
    },
    /// How many sagas are in which state.
    Counts,
    #[command(flatten)]
    Verb(verbs::Verb),
}

#[derive(Args)]
pub struct List {
    #[command(flatten)]
    filter: Filter,
    /// How many at most.
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = crate::limit)]
    limit: usize,
}

#[derive(Args)]
pub struct Show {
    #[arg(value_name = "SAGA")]
    saga: Uuid,
    /// Wait so long for it to begin and to end (90s, 10m).
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    wait: Option<Duration>,
}

#[derive(Args)]
pub struct Watch {
    #[arg(value_name = "SAGA")]
    saga: Uuid,
    /// Give up after so long (90s, 10m); without it, watch to the end.
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    within: Option<Duration>,
}

impl Command {
    pub async fn run(self, at: &Everywhere) -> Result<Exit> {
        match self {
            Command::List(wanted) => {
                let sagas = at.orchestrator()?;
                let sagas = sagas.list(&["sagas"], &wanted.filter.query(), wanted.limit).await?;
                at.tell(&sagas, listed)?;
                Ok(Exit::Done)
            }
            Command::Show(Show { saga, wait }) => show(at, saga, wait.unwrap_or_default()).await,
            Command::Watch(Watch { saga, within }) => watch(at, saga, within, Duration::ZERO).await,
            Command::Explain { saga } => explain::run(at, saga).await,
            Command::Counts => counts::run(at).await,
            Command::Verb(verb) => verb.run(at).await,
        }
    }
}

async fn show(at: &Everywhere, id: Uuid, wait: Duration) -> Result<Exit> {
    let mut follow = Follow::new(at.orchestrator()?, id, Some(wait), wait);
    let mut last = None;
    while let Some(saga) = follow.next().await? {
        let ended = !saga["ended_at"].is_null();
        last = Some(saga);
        if ended || wait.is_zero() {
            break;
        }
    }
    if let Some(saga) = last {
        at.tell(&saga, |saga| story::story(saga, Paint::for_stdout()))?;
    }
    Ok(Exit::Done)
}

/// A list as a table, with what to do if there is more.
pub fn listed(sagas: &Value) -> String {
    let table = table(list(&sagas["items"]));
    if table.is_empty() {
        return "no saga\n".to_owned();
    }
    let more = if sagas["next"].is_null() { "" } else { "there are more: --limit\n" };
    table.fit(width(), Paint::for_stdout()) + more
}

pub fn table(sagas: &[Value]) -> Table {
    let mut table = Table::new(&[
        Column::word("SAGA", 0),
        Column::text("DEFINITION", 3),
        Column::word("STATE", 0),
        Column::word("BEGAN", 1),
        Column::text("WHERE", 2),
    ]);
    for saga in sagas {
        table.row([
            text(&saga["saga_id"]).into(),
            text(&saga["definition"]).into(),
            Cell::state(word(&saga["state"])),
            relative(&saga["created_at"]).into(),
            whereabouts(saga),
        ]);
    }
    table
}

/// Stuck outranks the step that it waits for, and that the reason of its going back.
fn whereabouts(saga: &Value) -> Cell {
    match (&saga["parked"], &saga["step"], &saga["cause"]["text"]) {
        (Value::String(step), _, _) => Cell::coloured(format!("parked: {step}"), Colour::Bad),
        (_, Value::String(step), _) => step.as_str().into(),
        (_, _, cause) => text(cause).into(),
    }
}
