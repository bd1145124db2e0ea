//! `sagactl dead-letters`: deliveries that no retry helped, and what becomes of them.

mod replay;

use crate::{
    action::{self, Action},
    answer::{list, number, pretty, text, word},
    everywhere::{Everywhere, Exit},
    moment::relative,
    table::{Cell, Column, Table, wrapped},
    terminal::{Paint, width},
};
use anyhow::{Result, ensure};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value};
use uuid::Uuid;

#[derive(Subcommand)]
pub enum Command {
    /// Dead letters, newest first.
    List(List),
    /// Dead letters that died of the same thing, counted.
    Groups {
        /// Only of this participant.
        #[arg(long, value_name = "NAME")]
        participant: Option<String>,
    },
    /// One dead letter, with what it carried.
    Show {
        #[arg(value_name = "LETTER")]
        letter: Uuid,
    },
    /// Send a dead letter again; of many, first one, then more and more, until one dies again.
    Replay(Verb),
    /// Put a dead letter aside for good.
    Discard(Verb),
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
pub struct Verb {
    /// One dead letter; without it, all that the filter finds.
    #[arg(value_name = "LETTER")]
    letter: Option<Uuid>,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    action: Action,
}

#[derive(Args)]
#[command(next_help_heading = "Which dead letters")]
struct Filter {
    /// Commands to this participant.
    #[arg(long, value_name = "NAME")]
    participant: Option<String>,
    /// Messages of this type, such as payment.capture.
    #[arg(long = "type", value_name = "TYPE")]
    message_type: Option<String>,
    /// Letters in this state; a verb is for those that are open or refused.
    #[arg(long)]
    state: Option<State>,
    /// Letters that died of the same thing, as `groups` shows it.
    #[arg(long, value_name = "ID")]
    fingerprint: Option<Uuid>,
    /// Letters of this saga.
    #[arg(long, value_name = "SAGA")]
    saga: Option<Uuid>,
    /// Letters with this in their ids, their type, their reason or their error.
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum State {
    Open,
    Replaying,
    Replayed,
    Discarded,
    Refused,
}

impl Filter {
    fn query(&self) -> Vec<(&'static str, String)> {
        let wanted = [
            ("participant", self.participant.clone()),
            ("type", self.message_type.clone()),
            ("state", self.state.map(|state| format!("{state:?}").to_lowercase())),
            ("fingerprint", self.fingerprint.map(|id| id.to_string())),
            ("saga_id", self.saga.map(|id| id.to_string())),
            ("text", self.text.clone()),
        ];
        wanted.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    fn body(&self) -> Map<String, Value> {
        self.query().into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
    }
}

impl Command {
    pub async fn run(self, at: &Everywhere) -> Result<Exit> {
        let client = at.orchestrator()?;
        match self {
            Command::List(wanted) => {
                let query = wanted.filter.query();
                let letters = client.list(&["dead-letters"], &query, wanted.limit).await?;
                at.tell(&letters, listed)?;
            }
            Command::Groups { participant } => {
                let query = participant.map(|name| ("participant", name)).into_iter().collect();
                let groups = client.get(&["dead-letters", "groups"], &query).await?;
                at.tell(&groups, grouped)?;
            }
            Command::Show { letter } => {
                let path = ["dead-letters", &letter.to_string()];
                at.tell(&client.get(&path, &Vec::new()).await?, shown)?;
            }
            Command::Replay(verb) => return ask(at, "replay", verb).await,
            Command::Discard(verb) => return ask(at, "discard", verb).await,
        }
        Ok(Exit::Done)
    }
}

async fn ask(at: &Everywhere, verb: &str, asked: Verb) -> Result<Exit> {
    let mut body = asked.action.body()?;
    let filter = asked.filter.body();
    let client = at.orchestrator()?;
    if let Some(letter) = asked.letter {
        ensure!(filter.is_empty(), "either a LETTER or a filter");
        let path = ["dead-letters", &letter.to_string(), verb];
        let answer = client.post(&path, &body.into()).await?;
        at.tell(&answer, |answer| action::one(verb, &letter.to_string(), answer))?;
        return Ok(Exit::Done);
    }
    asked.action.is_for_many(filter.is_empty(), "LETTER")?;
    body.insert("filter".to_owned(), filter.into());
    let answer = client.post(&["dead-letters", "bulk", verb], &body.into()).await?;
    let begun = Uuid::try_parse(word(&answer["replay_id"])).ok();
    match begun.filter(|_| number(&answer["matched"]) > 0) {
        Some(id) => replay::follow(at, &client, id).await,
        None => {
            at.tell(&answer, |answer| many(verb, answer))?;
            Ok(Exit::Done)
        }
    }
}

fn many(verb: &str, answer: &Value) -> String {
    let (matched, stale) = (number(&answer["matched"]), number(&answer["stale"]));
    let stale = match stale {
        0 => String::new(),
        stale => format!(", {stale} of them would be refused as stale"),
    };
    match (matched, answer["dry_run"] == true) {
        (0, _) => "the filter finds no dead letter\n".to_owned(),
        (_, true) => format!("{verb} is meant for {matched}{stale}; nothing was done\n"),
        (_, false) => format!("{verb}: {matched}{stale}\n"),
    }
}

fn listed(letters: &Value) -> String {
    let mut table = Table::new(&[
        Column::word("LETTER", 0),
        Column::text("TYPE", 1),
        Column::word("STATE", 0),
        Column::word("DIED", 3),
        Column::text("ERROR", 2),
    ]);
    for letter in list(&letters["items"]) {
        table.row([
            text(&letter["dead_letter_id"]).into(),
            kind(letter).into(),
            Cell::state(word(&letter["state"])),
            relative(&letter["dead_at"]).into(),
            error(letter).into(),
        ]);
    }
    if table.is_empty() {
        return "no dead letter\n".to_owned();
    }
    let more = if letters["next"].is_null() { "" } else { "there are more: --limit\n" };
    table.fit(width(), Paint::for_stdout()) + more
}

/// Poison may have no type.
fn kind(letter: &Value) -> String {
    let name = if letter["type"].is_string() { "type" } else { "participant" };
    text(&letter[name])
}

fn error(letter: &Value) -> String {
    let (reason, error) = (text(&letter["reason"]), text(&letter["error"]));
    if error.is_empty() { reason } else { format!("{reason}: {error}") }
}

fn grouped(groups: &Value) -> String {
    let mut table = Table::new(&[
        Column::word("FINGERPRINT", 0),
        Column::number("OPEN", 0),
        Column::number("ALL", 4),
        Column::word("LAST", 3),
        Column::text("TYPE", 1),
        Column::text("ERROR", 2),
    ]);
    for group in list(&groups["items"]) {
        table.row([
            text(&group["fingerprint"]).into(),
            number(&group["open"]).to_string().into(),
            number(&group["total"]).to_string().into(),
            relative(&group["last_at"]).into(),
            kind(group).into(),
            error(group).into(),
        ]);
    }
    if table.is_empty() {
        return "no dead letter\n".to_owned();
    }
    table.fit(width(), Paint::for_stdout())
}

fn shown(letter: &Value) -> String {
    let paint = Paint::for_stdout();
    let id = text(&letter["dead_letter_id"]);
    let mut shown = format!("dead letter {id}  {}\n", paint.word(word(&letter["state"])));
    let undo = if letter["leg"] == "compensation" { "undo " } else { "" };
    let saga = match word(&letter["saga"]["state"]) {
        "" => text(&letter["saga_id"]),
        state => format!("{}, {state}", text(&letter["saga_id"])),
    };
    for (name, value) in [
        ("type", kind(letter)),
        ("to", text(&letter["participant"])),
        ("saga", saga),
        ("step", format!("{undo}{}", text(&letter["step"]))),
        ("attempt", text(&letter["attempt"])),
        ("died", relative(&letter["dead_at"])),
        ("replays", text(&letter["replays"])),
        ("remark", text(&letter["remark"])),
        ("same", text(&letter["fingerprint"])),
    ] {
        if !value.is_empty() {
            shown += &format!("  {name:<9} {value}\n");
        }
    }
    shown += &format!("\n{}", wrapped(&error(letter), width(), 2));
    if letter["stale"].is_string() {
        let stale = format!("replaying it would be refused: {}", text(&letter["stale"]));
        shown += &wrapped(&stale, width(), 2);
    }
    let body = if letter["body"].is_null() { &letter["body_base64"] } else { &letter["body"] };
    for (title, value) in [("Body", body), ("Headers", &letter["headers"])] {
        shown += &format!("\n{}\n{}", paint.bold(title), pretty(value));
    }
    shown
}
