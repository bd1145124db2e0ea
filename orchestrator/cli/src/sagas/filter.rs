//! Which sagas: the same words for a list and for a verb that is meant for many.

use clap::{Args, ValueEnum};
use orchestrator::duration;
use serde_json::{Map, Value};
use std::time::Duration;

#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Which sagas")]
pub struct Filter {
    /// Sagas in this state.
    #[arg(long)]
    state: Option<State>,
    /// Sagas of this definition.
    #[arg(long, value_name = "NAME")]
    definition: Option<String>,
    /// Sagas that wait for this step.
    #[arg(long, value_name = "STEP")]
    pub step: Option<String>,
    /// Sagas that cannot go on alone.
    #[arg(long)]
    parked: bool,
    /// Sagas that go back for this cause, such as refused.
    #[arg(long, value_name = "CAUSE")]
    cause: Option<String>,
    /// Sagas that have not ended.
    #[arg(long)]
    open: bool,
    /// Sagas that began longer ago (90s, 10m, 2h, 3d).
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    older_than: Option<Duration>,
    /// Sagas with this in their id or in what they were started with.
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum State {
    Running,
    Compensating,
    Completed,
    Compensated,
}

impl Filter {
    /// As the body of a request for many has it; empty if nothing is asked for.
    pub fn body(&self) -> Map<String, Value> {
        let state = self.state.map(|state| format!("{state:?}").to_lowercase());
        let texts = [
            ("state", state.as_ref()),
            ("definition", self.definition.as_ref()),
            ("step", self.step.as_ref()),
            ("cause", self.cause.as_ref()),
            ("text", self.text.as_ref()),
        ];
        let texts = texts.into_iter().filter_map(|(name, text)| Some((name, text?.clone().into())));
        let flags = [("parked", self.parked), ("open", self.open)];
        let flags = flags.into_iter().filter(|(_, set)| *set).map(|(name, _)| (name, true.into()));
        let age = self.older_than.map(|age| ("older_than_seconds", age.as_secs().into()));
        texts.chain(flags).chain(age).map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// As the parameters of a list.
    pub fn query(&self) -> Vec<(&'static str, String)> {
        const NAMES: [&str; 8] = [
            "state",
            "definition",
            "step",
            "cause",
            "text",
            "parked",
            "open",
            "older_than_seconds",
        ];
        let body = self.body();
        let wanted = NAMES.into_iter().filter_map(|name| Some((name, body.get(name)?)));
        wanted.map(|(name, value)| (name, crate::answer::text(value))).collect()
    }
}
