//! Finish first: while as many sagas are in flight as the window holds, starts wait in their queue.
//! The broker keeps a backlog better than the journal does, and a saga that has not begun holds
//! nothing: no stock, no money, no time limit that runs.
//!
//! In flight is every saga that is open and not parked: a parked one may wait for days, and must not
//! keep others from starting. They are counted in the journal, so a restart forgets nothing and
//! every instance sees the same number. Between two counts an instance takes at most half of the
//! room that it saw; what it took counts as in flight until the next count. So one instance never
//! exceeds the window; several together do by the starts that the others have taken and not stored.

use messaging::Consumer;
use runtime::{health::Part, shutdown::Shutdown};
use sqlx::PgPool;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// A count that is older is not gone by.
const FRESH: Duration = Duration::from_secs(2);
/// How often the sagas in flight are counted when nobody starts any.
const WATCH: Duration = Duration::from_secs(1);
/// From one count to the next at least: one for each start would cost more than the start.
const AGAIN: Duration = Duration::from_millis(50);
/// A journal that does not answer is not asked again at once.
const SHORTEST: Duration = Duration::from_millis(5);
/// Starts that are held longer than this go back to their queue: the broker takes a consumer that
/// keeps a message for half an hour to be dead.
const HOLD: Duration = Duration::from_secs(60);

/// The index on `look_at` has open sagas alone. One that waits only for what is parked has none.
const COUNT: &str = "SELECT count(*) FROM saga WHERE look_at IS NOT NULL AND parked IS NULL";

/// Who is let in. Clones share what they know.
#[derive(Clone)]
pub struct Admission {
    pool: PgPool,
    /// 0: everybody is let in, and nothing is counted.
    window: usize,
    database: Part,
    shutdown: Shutdown,
    seen: Arc<Mutex<Seen>>,
    /// One count at a time.
    counting: Arc<tokio::sync::Mutex<()>>,
}

/// What is known of the sagas in flight.
#[derive(Debug, Default)]
struct Seen {
    /// When they were counted last.
    at: Option<Instant>,
    /// Free places at that time.
    room: usize,
    /// Starts taken since then.
    taken: usize,
    /// Starts taken whose transaction may not be in any count yet.
    under_way: usize,
}

/// Starts that were taken and are not stored yet; dropped when they are.
pub struct UnderWay {
    seen: Arc<Mutex<Seen>>,
    starts: usize,
}

impl Admission {
    pub fn new(pool: PgPool, window: usize, database: Part, shutdown: Shutdown) -> Self {
        let (seen, counting) = Default::default();
        Admission { pool, window, database, shutdown, seen, counting }
    }

    /// How many starts are worth prefetching, of `helping`.
    pub fn helping(&self, helping: usize) -> usize {
        if self.window == 0 { helping } else { helping.min(self.window) }
    }

    /// Waits until there is room; how many starts may be taken now, at most `most`. `None` once
    /// shutdown has begun. A consumer whose messages are held for long is paused meanwhile.
    pub async fn room(&self, most: usize, starts: &Consumer) -> Option<usize> {
        if self.window == 0 {
            return Some(most);
        }
        let began = Instant::now();
        let mut held = false;
        let room = loop {
            if self.shutdown.is_begun() {
                return None;
            }
            if let Some(room) = self.seen().room_now() {
                break room;
            }
            let waits =
                self.seen().at.map_or(Duration::ZERO, |at| AGAIN.saturating_sub(at.elapsed()));
            if waits.is_zero() && self.count().await {
                continue;
            }
            if !held && self.seen().room == 0 {
                held = true;
                metrics::gauge!("starts_held").set(1.0);
                tracing::debug!(window = self.window, "starts wait for sagas in flight to end");
            }
            if began.elapsed() > HOLD && !starts.is_paused() {
                starts.pause().await;
            }
            tokio::select! {
                () = tokio::time::sleep(waits.max(SHORTEST)) => {}
                () = self.shutdown.begun() => return None,
            }
        };
        if held {
            metrics::gauge!("starts_held").set(0.0);
        }
        if starts.is_paused() {
            starts.resume();
        }
        Some(room.min(most))
    }

    /// These have been taken, and are in flight from now on.
    pub fn take(&self, starts: usize) -> UnderWay {
        let mut seen = self.seen();
        seen.taken += starts;
        seen.under_way += starts;
        UnderWay { seen: Arc::clone(&self.seen), starts }
    }

    /// Keeps the gauges true while nobody starts anything, until shutdown begins.
    pub async fn watch(self) {
        metrics::gauge!("starts_window").set(self.window as f64);
        metrics::gauge!("starts_held").set(0.0);
        while self.window > 0 && !self.shutdown.is_begun() {
            self.count().await;
            tokio::select! {
                () = tokio::time::sleep(WATCH) => {}
                () = self.shutdown.begun() => {}
            }
        }
    }

    /// `false` when the journal does not answer: then nobody knows of any room.
    async fn count(&self) -> bool {
        let _turn = self.counting.lock().await;
        // Taken before the count is made: what is stored meanwhile counts twice until the next one.
        let (before, under_way) = {
            let seen = self.seen();
            (seen.taken, seen.under_way)
        };
        let counting = sqlx::query_scalar::<_, i64>(COUNT).fetch_one(&self.pool);
        let counted = store::in_time(counting).await;
        let mut seen = self.seen();
        match counted {
            Ok(in_flight) => {
                self.database.up();
                metrics::gauge!("starts_window_taken").set(in_flight as f64);
                let in_flight = usize::try_from(in_flight).unwrap_or(usize::MAX);
                seen.room = self.window.saturating_sub(in_flight.saturating_add(under_way));
                seen.taken -= before;
                seen.at = Some(Instant::now());
                true
            }
            Err(error) => {
                tracing::warn!(%error, "cannot count the sagas in flight");
                self.database.down("the database does not answer");
                seen.room = 0;
                seen.at = Some(Instant::now());
                false
            }
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// What is left of the half that may be taken before the next count; `None` when nothing is.
    fn room_now(&self) -> Option<usize> {
        let fresh = self.at.is_some_and(|at| at.elapsed() < FRESH);
        let left = self.room.div_ceil(2).saturating_sub(self.taken);
        (fresh && left > 0).then_some(left)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.under_way -= self.starts;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(room: usize, taken: usize) -> Seen {
        Seen { at: Some(Instant::now()), room, taken, under_way: 0 }
    }

    #[test]
    fn half_of_the_room_is_taken_before_it_is_counted_again() {
        assert_eq!(seen(1_000, 0).room_now(), Some(500));
        assert_eq!(seen(1_000, 499).room_now(), Some(1));
        assert_eq!(seen(1_000, 500).room_now(), None);
    }

    #[test]
    fn the_last_place_is_taken_too() {
        assert_eq!(seen(1, 0).room_now(), Some(1));
        assert_eq!(seen(1, 1).room_now(), None);
        assert_eq!(seen(0, 0).room_now(), None);
    }

    #[test]
    fn nothing_is_let_in_before_the_first_count() {
        assert_eq!(Seen { at: None, room: 9, ..Seen::default() }.room_now(), None);
    }
}
