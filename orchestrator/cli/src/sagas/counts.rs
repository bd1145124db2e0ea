//! `sagactl sagas counts`.

use crate::{
    answer::{list, number, text, word},
    everywhere::{Everywhere, Exit},
    moment::relative,
    table::{Cell, Column, Table},
    terminal::{Colour, Paint, width},
};
use anyhow::Result;
use serde_json::Value;

pub async fn run(at: &Everywhere) -> Result<Exit> {
    let counts = at.orchestrator()?.get(&["sagas", "counts"], &Vec::new()).await?;
    at.tell(&counts, |counts| {
        let (head, open) = (head(counts, Paint::for_stdout()), table(counts));
        if open.is_empty() { head } else { head + "\n" + &open.fit(width(), Paint::for_stdout()) }
    })?;
    Ok(Exit::Done)
}

/// The figures that matter first.
pub fn head(counts: &Value, paint: Paint) -> String {
    let parked = number(&counts["parked"]);
    let parked = paint
        .with(if parked > 0 { Colour::Bad } else { Colour::Good }, &format!("{parked} parked"));
    let rate = |name: &str| {
        let rate = counts["rates"][name].as_f64();
        rate.map_or("-".to_owned(), |rate| format!("{rate:.0}"))
    };
    let mut head = format!("{} in flight, {parked}", number(&counts["in_flight"]));
    head += &format!(
        "; a minute: {} started, {} ended\n",
        rate("started_per_minute"),
        rate("ended_per_minute")
    );
    let ended = &counts["ended_last_24h"];
    if ended.is_object() {
        let least = if ended["at_least"] == true { "at least " } else { "" };
        let (completed, compensated) = (&ended["completed"], &ended["compensated"]);
        head += &format!("in 24 hours: {least}{completed} completed, {compensated} compensated\n");
    }
    let oldest = &counts["oldest_open"];
    if oldest.is_object() {
        let (id, began) = (text(&oldest["saga_id"]), relative(&oldest["created_at"]));
        head += &format!("oldest open: {id}, {began}\n");
    }
    head
}

/// Open sagas.
pub fn table(counts: &Value) -> Table {
    let mut table = Table::new(&[
        Column::text("DEFINITION", 0),
        Column::word("STATE", 0),
        Column::word("PARKED", 1),
        Column::number("SAGAS", 0),
    ]);
    for one in list(&counts["by"]) {
        let parked = match one["parked"] == true {
            true => Cell::state("parked"),
            false => "".into(),
        };
        table.row([
            text(&one["definition"]).into(),
            Cell::state(word(&one["state"])),
            parked,
            number(&one["count"]).to_string().into(),
        ]);
    }
    table
}
