//! `sagactl audit-trail`: what operators did, and why.

use crate::{
    answer::{list, text},
    everywhere::{Everywhere, Exit},
    moment::relative,
    table::{Cell, Column, Table, cut},
    terminal::{Colour, Paint, width},
};
use anyhow::Result;
use clap::Args;
use serde_json::Value;
use uuid::Uuid;

/// The letters of an id.
const ID: usize = 36;

#[derive(Args)]
pub struct AuditTrail {
    /// Only this verb.
    #[arg(long, value_name = "VERB")]
    verb: Option<String>,
    /// Only about this saga.
    #[arg(long, value_name = "SAGA")]
    saga: Option<Uuid>,
    /// Only by this person.
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// How many at most.
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = crate::limit)]
    limit: usize,
}

impl AuditTrail {
    pub async fn run(self, at: &Everywhere) -> Result<Exit> {
        let saga = self.saga.map(|saga| saga.to_string());
        let query = [("verb", self.verb), ("saga_id", saga), ("by", self.by)];
        let query = query.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let trail = at.orchestrator()?.list(&["audit"], &query, self.limit).await?;
        at.tell(&trail, listed)?;
        Ok(Exit::Done)
    }
}

fn listed(trail: &Value) -> String {
    let mut table = Table::new(&[
        Column::word("WHEN", 0),
        Column::word("BY", 1),
        Column::word("VERB", 0),
        Column::word("TAKEN", 0),
        Column::word("ABOUT", 2),
        Column::text("REASON", 0),
        Column::text("OUTCOME", 3).least(24),
    ]);
    for one in list(&trail["items"]) {
        let taken = match one["accepted"] == true {
            true => Cell::coloured("yes", Colour::Good),
            false => Cell::coloured("no", Colour::Bad),
        };
        table.row([
            relative(&one["at"]).into(),
            text(&one["by"]).into(),
            text(&one["verb"]).into(),
            taken,
            about(one).into(),
            text(&one["reason"]).into(),
            text(&one["text"]).into(),
        ]);
    }
    if table.is_empty() {
        return "nobody has asked for anything\n".to_owned();
    }
    let more = if trail["next"].is_null() { "" } else { "there are more: --limit\n" };
    table.fit(width(), Paint::for_stdout()) + more
}

/// The saga or the letter, or the filter that found many, as far as it takes no more room than an id.
fn about(one: &Value) -> String {
    let id = ["dead_letter", "saga_id"].into_iter().find(|name| one[name].is_string());
    match (id, &one["filter"]) {
        (Some(name), _) => text(&one[name]),
        (None, Value::Null) => String::new(),
        (None, filter) => cut(&text(filter), ID),
    }
}
