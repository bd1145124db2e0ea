//! `sagactl participants`: who is there, what waits for them, and whose breaker is open.

use crate::{
    answer::{list, number, text, word},
    everywhere::{Everywhere, Exit},
    table::{Cell, Column, Table},
    terminal::{Colour, Paint, width},
};
use anyhow::Result;
use serde_json::Value;

pub async fn run(at: &Everywhere) -> Result<Exit> {
    let all = at.orchestrator()?.list(&["participants"], &Vec::new(), 1_000).await?;
    at.tell(&all, |all| table(list(&all["items"])).fit(width(), Paint::for_stdout()))?;
    Ok(Exit::Done)
}

pub fn table(participants: &[Value]) -> Table {
    let mut table = Table::new(&[
        Column::word("PARTICIPANT", 0),
        Column::number("CONSUMERS", 1),
        Column::number("READY", 0),
        Column::number("RETRYING", 2),
        Column::number("DEAD", 0),
        Column::text("BREAKERS", 1),
    ]);
    for one in participants {
        let retrying: u64 = list(&one["retries"]).iter().map(|tier| number(&tier["ready"])).sum();
        let letters = &one["dead_letters"];
        // Still in the queue, and collected but not dealt with.
        let dead = number(&letters["queued"]) + number(&letters["open"]);
        table.row([
            text(&one["name"]).into(),
            alarming(&one["commands"]["consumers"], |consumers| consumers == 0),
            figure(&one["commands"]["ready"]).into(),
            retrying.to_string().into(),
            alarming(&dead.into(), |dead| dead > 0),
            breakers(one),
        ]);
    }
    table
}

fn figure(value: &Value) -> String {
    value.as_u64().map_or("?".to_owned(), |figure| figure.to_string())
}

fn alarming(value: &Value, is: impl Fn(u64) -> bool) -> Cell {
    let colour = if value.as_u64().is_some_and(is) { Colour::Bad } else { Colour::Plain };
    Cell::coloured(figure(value), colour)
}

/// Those that are not closed; whether it is known at all.
fn breakers(one: &Value) -> Cell {
    if one["reachable"] == false {
        return Cell::coloured("does not answer", Colour::Bad);
    }
    let Some(all) = one["breakers"].as_array().filter(|_| one["reachable"] == true) else {
        return Cell::coloured("not known", Colour::Dim);
    };
    let open = all.iter().filter(|breaker| breaker["state"] != "closed");
    let open: Vec<_> = open
        .map(|breaker| format!("{} {}", text(&breaker["name"]), word(&breaker["state"])))
        .collect();
    match open.is_empty() {
        true => Cell::coloured("closed", Colour::Good),
        false => Cell::coloured(open.join(", "), Colour::Bad),
    }
}
