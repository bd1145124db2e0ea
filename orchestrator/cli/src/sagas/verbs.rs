//! What an operator asks of a saga, or of all that a filter finds.

use super::filter::Filter;
use crate::{
    action::{self, Action},
    everywhere::{Everywhere, Exit},
};
use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// What the orchestrator takes at once.
const MOST: u64 = 1_000;

#[derive(Subcommand)]
pub enum Verb {
    /// Undo a saga whose pivot has not been asked for.
    Cancel(Plain),
    /// Ask everything that is parked again.
    Resume(Plain),
    /// Ask one step (--step) again, parked or not.
    Retry(Retry),
    /// Take a parked step (--step) as done by hand, with the reply to assume.
    Skip(Skip),
    /// Undo a saga whose pivot is parked: you vouch that the pivot did not happen.
    ForceCompensate(Plain),
}

#[derive(Args)]
pub struct Plain {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    action: Action,
}

#[derive(Args)]
pub struct Retry {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    action: Action,
    /// Which of the two it is about; by default what the step waits for.
    #[arg(long)]
    leg: Option<Leg>,
}

#[derive(Args)]
pub struct Skip {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    action: Action,
    /// Which of the two it is about; by default what the step waits for.
    #[arg(long)]
    leg: Option<Leg>,
    /// The reply to assume, as JSON.
    #[arg(long, value_name = "JSON", value_parser = value)]
    value: Option<Value>,
}

#[derive(Args)]
struct Target {
    /// One saga; without it, all that the filter finds.
    #[arg(value_name = "SAGA")]
    saga: Option<Uuid>,
    #[command(flatten)]
    filter: Filter,
    /// How many of them at most, up to 1000.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..=MOST))]
    limit: Option<u64>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Leg {
    Action,
    Compensation,
}

fn value(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("no JSON: {error}"))
}

impl Verb {
    pub async fn run(self, at: &Everywhere) -> Result<Exit> {
        match self {
            Verb::Cancel(Plain { target, action }) => ask(at, "cancel", target, action, &[]).await,
            Verb::Resume(Plain { target, action }) => ask(at, "resume", target, action, &[]).await,
            Verb::ForceCompensate(Plain { target, action }) => {
                ask(at, "force-compensate", target, action, &[]).await
            }
            Verb::Retry(Retry { target, action, leg }) => {
                let more = [("step", step(&target)), ("leg", leg.map(word))];
                ask(at, "retry", target, action, &more).await
            }
            Verb::Skip(Skip { target, action, leg, value }) => {
                let more = [("step", step(&target)), ("leg", leg.map(word)), ("value", value)];
                ask(at, "skip", target, action, &more).await
            }
        }
    }
}

fn step(target: &Target) -> Option<Value> {
    target.filter.step.clone().map(Value::from)
}

fn word(leg: Leg) -> Value {
    match leg {
        Leg::Action => "action".into(),
        Leg::Compensation => "compensation".into(),
    }
}

async fn ask(
    at: &Everywhere,
    verb: &str,
    target: Target,
    action: Action,
    more: &[(&str, Option<Value>)],
) -> Result<Exit> {
    let mut body = action.body()?;
    let more = more.iter().filter_map(|(name, value)| Some(((*name).to_owned(), value.clone()?)));
    body.extend(more);
    let client = at.orchestrator()?;
    let Some(saga) = target.saga else {
        let filter = target.filter.body();
        action.is_for_many(filter.is_empty(), "SAGA")?;
        body.insert("filter".to_owned(), filter.into());
        if let Some(limit) = target.limit {
            body.insert("limit".to_owned(), limit.into());
        }
        let answer = client.post(&["sagas", "bulk", verb], &body.into()).await?;
        at.tell(&answer, |answer| action::many(verb, "saga", answer))?;
        return Ok(action::verdict(&answer));
    };
    only_the_step(&target.filter.body())?;
    let answer = client.post(&["sagas", &saga.to_string(), verb], &body.into()).await?;
    at.tell(&answer, |answer| action::one(verb, &saga.to_string(), answer))?;
    Ok(Exit::Done)
}

/// A filter beside an id would be ignored, and whoever wrote it meant something.
fn only_the_step(filter: &Map<String, Value>) -> Result<()> {
    let strange: Vec<_> = filter.keys().filter(|name| *name != "step").collect();
    anyhow::ensure!(strange.is_empty(), "either a SAGA or a filter: {}", json!(strange));
    Ok(())
}
