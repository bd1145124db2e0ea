//! `sagactl top`: an overview that is never older than a second.

mod screen;

use crate::{
    answer::list,
    client::{Client, Error},
    everywhere::{Everywhere, Exit},
    participants, sagas,
    table::wrapped,
    terminal::{Colour, Paint, say, width},
};
use anyhow::Result;
use screen::Screen;
use serde_json::{Value, json};
use std::{io::IsTerminal, time::Duration};
use tokio::time::{Instant, sleep_until};

const BETWEEN: Duration = Duration::from_secs(1);
/// A frame in a script shows as much.
const ROWS: usize = 10;

pub async fn run(at: &Everywhere) -> Result<Exit> {
    let client = at.orchestrator()?;
    if at.json || !std::io::stdout().is_terminal() {
        return once(at, &client).await;
    }
    // A wrong address is said on the terminal that stays.
    client.get(&["sagas"], &vec![("limit", "1".to_owned())]).await?;
    let mut screen = Screen::open()?;
    loop {
        let next = Instant::now() + BETWEEN;
        let frame = Frame::look(&client, screen.rows()).await;
        screen.draw(&frame.text(&client, width(), screen.rows(), Paint::for_stdout()))?;
        tokio::select! {
            () = screen.quit() => return Ok(Exit::Done),
            () = screen.resized() => {}
            () = sleep_until(next) => {}
        }
    }
}

async fn once(at: &Everywhere, client: &Client) -> Result<Exit> {
    let frame = Frame::look(client, ROWS).await;
    if let [Err(error), Err(_), ..] = frame.parts {
        return Err(error.into());
    }
    if at.json {
        let [counts, participants, parked, open] = frame.parts.map(Result::unwrap_or_default);
        let answer = json!({
            "counts": counts, "participants": participants["items"],
            "parked": parked["items"], "open": open["items"],
        });
        at.tell(&answer, |_| String::new())?;
    } else {
        say(&frame.text(client, width(), usize::MAX, Paint::for_stdout()))?;
    }
    Ok(Exit::Done)
}

/// Counts, participants, parked and open sagas, as they came.
struct Frame {
    parts: [Result<Value, Error>; 4],
}

impl Frame {
    async fn look(client: &Client, rows: usize) -> Self {
        let some = |name| vec![(name, "true".to_owned())];
        let (parked, open) = (some("parked"), some("open"));
        let none = Vec::new();
        let (counts, participants, parked, open) = tokio::join!(
            client.get(&["sagas", "counts"], &none),
            client.list(&["participants"], &none, 100),
            client.list(&["sagas"], &parked, rows.clamp(1, 100)),
            client.list(&["sagas"], &open, rows.clamp(1, 100)),
        );
        Frame { parts: [counts, participants, parked, open] }
    }

    fn text(&self, client: &Client, width: usize, rows: usize, paint: Paint) -> String {
        let [counts, participants, parked, open] = &self.parts;
        let mut text = format!("{}  {}\n", paint.bold("sagactl top"), paint.dim(client.address()));
        text += &shown(counts, width, paint, |counts| sagas::head(counts, paint));
        text.push('\n');
        text += &shown(participants, width, paint, |all| {
            participants::table(list(&all["items"])).fit(width, paint)
        });
        // What is stuck comes first, and is not shown twice.
        let open = open.as_ref().map(|open| {
            let parked = parked.as_ref().map_or(&[][..], |parked| list(&parked["items"]));
            let rest = list(&open["items"]).iter().filter(|saga| saga["parked"].is_null());
            parked.iter().chain(rest).cloned().collect::<Vec<_>>()
        });
        text.push('\n');
        text += &shown(&open, width, paint, |open| match open.is_empty() {
            true => "no saga is open\n".to_owned(),
            false => sagas::table(open).fit(width, paint),
        });
        text.split_inclusive('\n').take(rows).collect()
    }
}

/// A part that could not be read says so, and the others are shown.
fn shown<T, E: std::fmt::Display>(
    part: &Result<T, E>,
    width: usize,
    paint: Paint,
    text: impl Fn(&T) -> String,
) -> String {
    match part {
        Ok(part) => text(part),
        Err(error) => paint.with(Colour::Bad, &wrapped(&error.to_string(), width, 0)),
    }
}
