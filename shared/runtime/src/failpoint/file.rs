//! Failpoints that are armed and disarmed while the process runs.

use super::Instead;
use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::PathBuf,
    sync::OnceLock,
    time::Duration,
};

/// How soon a held place notices that it has been disarmed.
const LOOK: Duration = Duration::from_millis(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Once, even across restarts.
    Kill,
    /// Waits until the entry is gone.
    Hold,
    /// Nothing but leaving the mark that says how often the place was reached.
    Note,
    Instead(Instead),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    id: String,
    pub(super) action: Action,
}

/// The entries of the file that concern this place. A line that is not understood is none.
pub(super) fn entries(text: &str, place: &str, command: &str, saga: &str) -> Vec<Entry> {
    let mut found = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [id, at, of, about, action] = words.as_slice() else { continue };
        let fits = |wanted: &str, is: &str| wanted == "*" || wanted == is;
        if *at != place || !fits(of, command) || !fits(about, saga) {
            continue;
        }
        let action = match *action {
            "kill" => Action::Kill,
            "hold" => Action::Hold,
            "note" => Action::Note,
            "lose" => Action::Instead(Instead::Lose),
            "refuse" => Action::Instead(Instead::Refuse),
            "fault" => Action::Instead(Instead::Fault),
            other => {
                tracing::error!(other, "no action of a failpoint");
                continue;
            }
        };
        found.push(Entry { id: (*id).to_owned(), action });
    }
    found
}

pub(super) async fn reach(place: &str, command: &str, saga: &str) -> Option<Instead> {
    let file = path()?;
    let mut noted = false;
    loop {
        let text = fs::read_to_string(file).unwrap_or_default();
        let mut held = false;
        for entry in entries(&text, place, command, saga) {
            match entry.action {
                Action::Kill => {
                    if mark(&entry.id, true) {
                        std::process::abort();
                    }
                }
                Action::Hold => {
                    if !noted {
                        mark(&entry.id, false);
                    }
                    held = true;
                }
                Action::Note if !noted => {
                    mark(&entry.id, false);
                }
                Action::Note => {}
                Action::Instead(instead) => {
                    mark(&entry.id, false);
                    return Some(instead);
                }
            }
        }
        if !held {
            return None;
        }
        noted = true;
        tokio::time::sleep(LOOK).await;
    }
}

fn path() -> Option<&'static PathBuf> {
    static PATH: OnceLock<Option<PathBuf>> = OnceLock::new();
    PATH.get_or_init(|| std::env::var_os("FAILPOINTS_FILE").map(PathBuf::from)).as_ref()
}

/// One byte more in `<file>.<id>`; `false` when it had to be the first one and is not.
fn mark(id: &str, first: bool) -> bool {
    let Some(file) = path() else { return false };
    let mut marker = file.as_os_str().to_owned();
    marker.push(format!(".{id}"));
    let mut options = OpenOptions::new();
    let opened = options.append(true).create(true).create_new(first).open(marker);
    opened.and_then(|mut marker| marker.write_all(b".")).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_concerns_its_own_place_command_and_saga() {
        let text = "1 worker.received inventory.reserve-stock s1 lose\n\
                    2 worker.received * s2 kill\n\
                    3 worker.received inventory.reserve-stock * hold\n\
                    4 worker.received inventory.reserve-stock s1 explode\n\
                    5 worker.received";
        let ids = |place: &str, command: &str, saga: &str| -> Vec<String> {
            entries(text, place, command, saga).into_iter().map(|entry| entry.id).collect()
        };
        assert_eq!(ids("worker.received", "inventory.reserve-stock", "s1"), ["1", "3"]);
        assert_eq!(ids("worker.received", "inventory.reserve-stock", "s2"), ["2", "3"]);
        assert_eq!(ids("worker.received", "order.open", "s2"), ["2"]);
        assert!(ids("worker.before-commit", "order.open", "s2").is_empty());
    }
}
