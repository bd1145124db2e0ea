//! `sagactl sagas explain`: one saga for whoever is woken by it.

use crate::{
    answer::{list, text, word},
    everywhere::{Everywhere, Exit},
    moment::relative,
    participants,
    table::{Column, Table, wrapped},
    terminal::{Colour, Paint, width},
};
use anyhow::Result;
use serde_json::Value;
use uuid::Uuid;

pub async fn run(at: &Everywhere, saga: Uuid) -> Result<Exit> {
    let client = at.orchestrator()?;
    let saga = saga.to_string();
    let told = client.get(&["sagas", &saga, "explain"], &Vec::new()).await?;
    at.tell(&told, |told| explained(told, width(), Paint::for_stdout()))?;
    Ok(Exit::Done)
}

fn explained(told: &Value, width: usize, paint: Paint) -> String {
    let mut page = format!("{}  {}\n", text(&told["saga_id"]), paint.word(word(&told["state"])));
    page += &wrapped(&text(&told["summary"]), width, 0);
    part(&mut page, paint, "Why", list(&told["why"]), |why| wrapped(&text(why), width, 2));
    part(&mut page, paint, "Waits for", list(&told["waits"]), |wait| {
        let undo = if wait["leg"] == "compensation" { "undo " } else { "" };
        let since = times(wait, &[("since", "since"), ("until", "until")]);
        let head = format!("{undo}{} ({})", text(&wait["step"]), text(&wait["participant"]));
        wrapped(&format!("{head}{since}"), width, 2) + &wrapped(&text(&wait["text"]), width, 4)
    });
    part(&mut page, paint, "Next", list(&told["next"]), |next| {
        let when = if next["at"].is_null() { String::new() } else { relative(&next["at"]) + ": " };
        wrapped(&(when + &text(&next["text"])), width, 2)
    });
    let waited_for = list(&told["participants"]);
    if !waited_for.is_empty() {
        page += &format!("\n{}", participants::table(waited_for).fit(width, paint));
    }
    part(&mut page, paint, "Dead letters", list(&told["dead_letters"]), |letter| {
        let (id, reason) = (text(&letter["id"]), text(&letter["reason"]));
        format!("  {id}  {reason}\n") + &wrapped(&text(&letter["text"]), width, 4)
    });
    page += &verbs(list(&told["verbs"]), width, paint);
    page
}

fn part(
    page: &mut String,
    paint: Paint,
    title: &str,
    of: &[Value],
    line: impl Fn(&Value) -> String,
) {
    if !of.is_empty() {
        *page += &format!("\n{}\n", paint.bold(title));
        page.extend(of.iter().map(line));
    }
}

/// `, since 3 m ago, until in 12 s`: those of the times that are there.
fn times(of: &Value, names: &[(&str, &str)]) -> String {
    let told = names.iter().filter(|(name, _)| of[name].is_string());
    told.map(|(name, says)| format!(", {says} {}", relative(&of[name]))).collect()
}

/// What can be asked first, then what cannot, and why not.
fn verbs(verbs: &[Value], width: usize, paint: Paint) -> String {
    if verbs.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&[
        Column::word("VERB", 0),
        Column::word("NOW", 0),
        Column::text("WHAT IT DOES", 0),
    ]);
    let (can, cannot): (Vec<_>, Vec<_>) = verbs.iter().partition(|verb| verb["legal"] == true);
    for verb in can.into_iter().chain(cannot) {
        let colour = if verb["legal"] == true { Colour::Good } else { Colour::Dim };
        let now = if verb["legal"] == true { "yes" } else { "no" };
        let now = crate::table::Cell::coloured(now, colour);
        table.row([text(&verb["verb"]).into(), now, text(&verb["text"]).into()]);
    }
    format!("\n{}", table.fit(width, paint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn everything_there_is_to_know_is_told_in_lines_that_fit() {
        let told = json!({
            "saga_id": "01a1fda6-6a37-7468-aace-7f9d5fa9e7f8", "state": "running",
            "summary": "It cannot go on alone: capture-payment was asked for twice and nobody answered.",
            "why": ["The pivot may have happened, so it is not undone."],
            "waits": [{ "step": "capture-payment", "leg": "action", "participant": "payment",
                        "for": "operator", "since": null, "until": null,
                        "text": "Its attempts are spent." }],
            "next": [], "dead_letters": [],
            "participants": [{ "name": "payment", "commands": { "ready": 3, "consumers": 0 },
                               "retries": [], "dead_letters": { "queued": 0, "open": 1 },
                               "reachable": true,
                               "breakers": [{ "name": "gateway", "state": "open" }] }],
            "verbs": [{ "verb": "cancel", "legal": false, "text": "past the pivot" },
                      { "verb": "resume", "legal": true, "text": "asks payment again" }],
        });
        insta::assert_snapshot!(explained(&told, 50, Paint { colours: false }), @"
        01a1fda6-6a37-7468-aace-7f9d5fa9e7f8  running
        It cannot go on alone: capture-payment was asked
        for twice and nobody answered.

        Why
          The pivot may have happened, so it is not
          undone.

        Waits for
          capture-payment (payment)
            Its attempts are spent.

        PARTICIPANT  CONSUMERS  READY  DEAD  BREAKERS
        payment              0      3     1  gateway open

        VERB    NOW  WHAT IT DOES
        resume  yes  asks payment again
        cancel  no   past the pivot
        ");
    }
}
