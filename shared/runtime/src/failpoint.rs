//! Places where a test makes this process die or hang. In a build without debug assertions they
//! are nothing at all.
//!
//! `FAILPOINTS="worker.after-commit=kill@3;orchestrator.before-commit=hang"` kills at the third
//! hit of the one and hangs at the first hit of the other. `worker.after-commit:payment.capture=kill`
//! counts only the hits for that command. `FAILPOINT_ONCE=<file>` lets one of them act only if
//! that file can be created anew, so that the restarted process does not die again.
//!
//! `FAILPOINTS_FILE` names a file that is read at every hit, for what is armed while the process
//! runs. Each of its lines is `id place command saga action`, where `*` stands for any command or
//! saga; the actions are `kill` (once), `hold` (until the line is gone), `note`, `lose`, `refuse`
//! and `fault`. Whatever acts leaves a byte in the file `<file>.<id>`.

#[cfg(debug_assertions)]
mod file;

use std::fmt::Display;

/// What to do in the place of what would be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instead {
    /// Nothing, as if the message had been lost on its way.
    Lose,
    /// Refuse, without effect.
    Refuse,
    /// Fault, without effect; no retry helps.
    Fault,
}

#[cfg(debug_assertions)]
mod armed {
    use std::{
        fs::OpenOptions,
        sync::{
            OnceLock,
            atomic::{AtomicU32, Ordering},
        },
    };

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) enum Action {
        /// Ends the process at once: no destructor, no flush, as `kill -9` would.
        Kill,
        /// Waits for ever.
        Hang,
    }

    #[derive(Debug)]
    pub(super) struct Failpoint {
        name: String,
        key: Option<String>,
        action: Action,
        hit: u32,
        hits: AtomicU32,
    }

    pub(super) fn parse(text: &str) -> Result<Vec<Failpoint>, String> {
        let entries = text.split(';').map(str::trim).filter(|entry| !entry.is_empty());
        entries.map(|entry| one(entry).ok_or_else(|| entry.to_owned())).collect()
    }

    fn one(entry: &str) -> Option<Failpoint> {
        let (place, what) = entry.split_once('=')?;
        let (name, key) = match place.split_once(':') {
            Some((name, key)) => (name, Some(key.to_owned())),
            None => (place, None),
        };
        let (action, hit) = match what.split_once('@') {
            Some((action, hit)) => (action, hit.parse().ok().filter(|hit| *hit > 0)?),
            None => (what, 1),
        };
        let action = match action {
            "kill" => Action::Kill,
            "hang" => Action::Hang,
            _ => return None,
        };
        Some(Failpoint { name: name.to_owned(), key, action, hit, hits: AtomicU32::new(0) })
    }

    /// Counts the hit, and says what is due at it.
    pub(super) fn due(points: &[Failpoint], name: &str, key: Option<&str>) -> Option<Action> {
        points
            .iter()
            .filter(|point| {
                point.name == name && (point.key.is_none() || point.key.as_deref() == key)
            })
            .filter(|point| point.hits.fetch_add(1, Ordering::SeqCst) + 1 == point.hit)
            .map(|point| point.action)
            .last()
    }

    fn configured() -> &'static [Failpoint] {
        static POINTS: OnceLock<Vec<Failpoint>> = OnceLock::new();
        POINTS.get_or_init(|| {
            let text = std::env::var("FAILPOINTS").unwrap_or_default();
            parse(&text).unwrap_or_else(|entry| {
                tracing::error!(entry, "FAILPOINTS is not understood and none is set");
                Vec::new()
            })
        })
    }

    fn first_time() -> bool {
        let Ok(file) = std::env::var("FAILPOINT_ONCE") else { return true };
        OpenOptions::new().write(true).create_new(true).open(file).is_ok()
    }

    pub(super) async fn reach(name: &str, key: Option<&str>) {
        match due(configured(), name, key) {
            Some(action) if first_time() => match action {
                Action::Kill => std::process::abort(),
                Action::Hang => std::future::pending().await,
            },
            _ => {}
        }
    }
}

/// This place was reached.
#[cfg(debug_assertions)]
pub async fn hit(name: &str) {
    armed::reach(name, None).await;
}

/// This place was reached by a command, or by the reply to it; `command` is its type. Says what is
/// to be done there instead, which only places that can do so heed.
#[cfg(debug_assertions)]
pub async fn hit_for(name: &str, command: &str, saga: impl Display) -> Option<Instead> {
    armed::reach(name, Some(command)).await;
    file::reach(name, command, &saga.to_string()).await
}

#[cfg(not(debug_assertions))]
pub async fn hit(_name: &str) {}

#[cfg(not(debug_assertions))]
pub async fn hit_for(_name: &str, _command: &str, _saga: impl Display) -> Option<Instead> {
    None
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use super::armed::{Action, due, parse};

    #[test]
    fn a_failpoint_acts_once_at_its_own_hit_and_key() {
        let points = parse("a=kill@3; b:x=hang;").unwrap();
        assert_eq!(due(&points, "a", None), None);
        assert_eq!(due(&points, "a", Some("any")), None);
        assert_eq!(due(&points, "a", None), Some(Action::Kill));
        assert_eq!(due(&points, "a", None), None);
        assert_eq!(due(&points, "b", None), None);
        assert_eq!(due(&points, "b", Some("y")), None);
        assert_eq!(due(&points, "b", Some("x")), Some(Action::Hang));
        assert_eq!(due(&points, "c", None), None);
    }

    #[test]
    fn an_entry_that_is_not_understood_is_told() {
        for bad in ["a", "a=explode", "a=kill@0", "a=kill@x"] {
            assert_eq!(parse(bad).unwrap_err(), bad);
        }
    }
}
