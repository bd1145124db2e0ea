//! What every verb that changes something takes, and how its answer reads. Shared by sagas and dead
//! letters.

use crate::{
    answer::{list, number, text, word, words},
    everywhere::Exit,
    table::{Column, Table},
    terminal::{Paint, width},
};
use anyhow::{Result, ensure};
use clap::Args;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

#[derive(Args)]
#[command(next_help_heading = "Asking")]
pub struct Action {
    /// Why; for the history and the audit trail.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who asks.
    #[arg(long, value_name = "NAME", env = "USER", hide_env_values = true)]
    by: Option<String>,
    /// Say what would happen, and do nothing.
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Do it to all that the filter finds; without --dry-run it is required there.
    #[arg(long)]
    yes: bool,
}

impl Action {
    pub fn body(&self) -> Result<Map<String, Value>> {
        ensure!(!self.reason.trim().is_empty(), "--reason says why; it is not empty");
        let mut body = Map::from_iter([("reason".to_owned(), self.reason.clone().into())]);
        if let Some(by) = &self.by {
            body.insert("by".to_owned(), by.clone().into());
        }
        if self.dry_run {
            body.insert("dry_run".to_owned(), json!(true));
        }
        Ok(body)
    }

    /// Nobody means all there are by forgetting an id.
    pub fn is_for_many(&self, unfiltered: bool, target: &str) -> Result<()> {
        ensure!(!unfiltered, "say which: one {target}, or a filter such as --parked or --text");
        ensure!(
            self.dry_run || self.yes,
            "for many: look with --dry-run first, then do it with --yes"
        );
        Ok(())
    }
}

/// The answer to a verb for one.
pub fn one(verb: &str, id: &str, answer: &Value) -> String {
    if answer["dry_run"] != true {
        return format!("{verb}: accepted for {id}\n");
    }
    let mut told = format!("{verb} would be accepted for {id}; nothing was done\n");
    for sent in list(&answer["would"]) {
        let undo = if sent["leg"] == "compensation" { "undo " } else { "" };
        let attempt = match number(&sent["attempt"]) {
            attempt @ 2.. => format!(", attempt {attempt}"),
            _ => String::new(),
        };
        let (command, step) = (text(&sent["send"]), text(&sent["step"]));
        let _ = writeln!(told, "  → {command}  ({undo}{step}{attempt})");
    }
    if answer["state_after"].is_string() {
        let parked = match parked(&answer["parked_after"]) {
            None => String::new(),
            Some(step) => format!(", parked at {step}"),
        };
        let _ = writeln!(told, "  then it is {}{parked}", text(&answer["state_after"]));
    }
    told
}

fn parked(parked: &Value) -> Option<String> {
    match parked {
        Value::Null | Value::Bool(false) => None,
        Value::Object(parked) => parked.get("step").map(text),
        Value::Array(steps) if steps.is_empty() => None,
        Value::Array(_) => Some(words(parked)),
        other => Some(text(other)),
    }
}

/// The answer to a verb for many.
pub fn many(verb: &str, what: &str, answer: &Value) -> String {
    let (matched, accepted) = (number(&answer["matched"]), number(&answer["accepted"]));
    if matched == 0 {
        return format!("the filter finds no {what}\n");
    }
    let refused = list(&answer["refused"]);
    let mut told = match answer["dry_run"] == true {
        true => format!("{verb} would be accepted for {accepted} of {matched}; nothing was done\n"),
        false => format!("{verb}: accepted for {accepted} of {matched}\n"),
    };
    if !refused.is_empty() {
        let mut table = Table::new(&[Column::word("REFUSED", 0), Column::text("WHY", 0)]);
        for one in refused {
            let id = ["saga_id", "dead_letter_id"].into_iter().find(|name| one[name].is_string());
            table.row([word(&one[id.unwrap_or("id")]).into(), text(&one["text"]).into()]);
        }
        told += &table.fit(width(), Paint::for_stdout());
    }
    told
}

/// All, none, or some of them.
pub fn verdict(answer: &Value) -> Exit {
    let (matched, accepted) = (number(&answer["matched"]), number(&answer["accepted"]));
    match (accepted, list(&answer["refused"]).len()) {
        (_, 0) if accepted >= matched => Exit::Done,
        (0, _) => Exit::No,
        _ => Exit::Partly,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_of_many_is_neither_yes_nor_no() {
        let answer = |accepted: u64, refused: usize| {
            let refused = vec![json!({ "saga_id": "x", "text": "over" }); refused];
            let matched = accepted + refused.len() as u64;
            json!({ "matched": matched, "accepted": accepted, "refused": refused })
        };
        let ended = [(3, 0), (0, 0), (2, 1), (0, 2)].map(|(yes, no)| verdict(&answer(yes, no)));
        assert_eq!(ended, [Exit::Done, Exit::Done, Exit::Partly, Exit::No]);
    }

    #[test]
    fn a_dry_run_says_what_would_be_sent() {
        let answer = json!({ "dry_run": true, "state_after": "compensating", "parked_after": null,
            "would": [{ "send": "payment.void", "step": "authorise-payment",
                        "leg": "compensation", "attempt": 1 }] });
        insta::assert_snapshot!(one("cancel", "01a1", &answer), @"
        cancel would be accepted for 01a1; nothing was done
          → payment.void  (undo authorise-payment)
          then it is compensating
        ");
    }
}
