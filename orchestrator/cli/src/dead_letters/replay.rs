//! A replay of many, to its end: it climbs in rungs, and stops at the first that dies again.

use crate::{
    answer::{number, text, word},
    client::Client,
    everywhere::{Everywhere, Exit},
    progress,
    terminal::remark,
};
use anyhow::Result;
use serde_json::Value;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

const BETWEEN: Duration = Duration::from_millis(300);
/// A replay goes on without anybody watching it.
const PATIENCE: Duration = Duration::from_secs(600);

pub async fn follow(at: &Everywhere, client: &Client, id: Uuid) -> Result<Exit> {
    let replay = id.to_string();
    let since = Instant::now();
    let mut bar = None;
    loop {
        let now = client.get(&["dead-letters", "replays", &replay], &Vec::new()).await?;
        let matched = number(&now["matched"]);
        let settled = ["replayed", "refused", "failed"].map(|name| number(&now[name]));
        bar.get_or_insert_with(|| progress::bar(matched, "replaying"))
            .set_position(settled.iter().sum());
        if now["state"] != "running" {
            bar.take().inspect(indicatif::ProgressBar::finish_and_clear);
            at.tell(&now, ended)?;
            return Ok(verdict(&now));
        }
        if since.elapsed() > PATIENCE {
            remark(&format!("sagactl: replay {id} goes on without being watched"));
            at.tell(&now, ended)?;
            return Ok(Exit::Partly);
        }
        sleep(BETWEEN).await;
    }
}

fn ended(replay: &Value) -> String {
    let figure = |name: &str| number(&replay[name]);
    let mut told = format!(
        "replay {}: {} of {} replayed, {} refused, {} failed, {} waiting\n",
        word(&replay["state"]),
        figure("replayed"),
        figure("matched"),
        figure("refused"),
        figure("failed"),
        figure("waiting"),
    );
    let text = text(&replay["text"]);
    if !text.is_empty() {
        told += &format!("{text}\n");
    }
    told
}

fn verdict(replay: &Value) -> Exit {
    let (matched, replayed) = (number(&replay["matched"]), number(&replay["replayed"]));
    match replayed {
        all if all == matched => Exit::Done,
        0 => Exit::No,
        _ => Exit::Partly,
    }
}
