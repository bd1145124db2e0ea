//! How fast sagas end, as the journal says.

use crate::ground::Ground;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

const BETWEEN: Duration = Duration::from_millis(200);
const LIMIT: Duration = Duration::from_secs(2);
/// A pace is one over this time, at least.
const WINDOW: Duration = Duration::from_secs(2);
/// A pace that has come back to so much of the earlier one is the earlier one: orders come evenly,
/// but their endings do not.
const ENOUGH: f64 = 0.7;

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    ended: i64,
}

/// Looks at the journal a few times a second, as often as it answers.
pub struct Pace {
    samples: Mutex<Vec<Sample>>,
}

/// Ends the looking when dropped.
pub struct Watch(JoinHandle<()>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Pace {
    pub fn watch(ground: &Arc<Ground>) -> (Arc<Self>, Watch) {
        let pace = Arc::new(Pace { samples: Mutex::default() });
        let (watching, ground) = (Arc::clone(&pace), Arc::clone(ground));
        let watch = tokio::spawn(async move {
            loop {
                if let Some(sample) = look(&ground).await {
                    watching.samples().push(sample);
                }
                sleep(BETWEEN).await;
            }
        });
        (pace, Watch(watch))
    }

    /// Sagas that have ended, at the last look.
    pub fn ended(&self) -> i64 {
        self.samples().last().map_or(0, |sample| sample.ended)
    }

    /// Sagas ended per second over the last `over`.
    pub fn now(&self, over: Duration) -> f64 {
        let samples = self.samples();
        let Some(last) = samples.last() else { return 0.0 };
        let first = samples.iter().find(|sample| last.at - sample.at <= over).unwrap_or(last);
        rate(first, last)
    }

    /// How long after `since` sagas ended at `pace` again; waits for that up to `limit`.
    pub async fn recovered(&self, since: Instant, pace: f64, limit: Duration) -> Option<Duration> {
        while since.elapsed() < limit {
            if let Some(found) = self.first_at(since, pace * ENOUGH) {
                return Some(found);
            }
            sleep(BETWEEN).await;
        }
        None
    }

    fn first_at(&self, since: Instant, pace: f64) -> Option<Duration> {
        let samples = self.samples();
        let after = samples.partition_point(|sample| sample.at < since);
        let after = &samples[after..];
        let found = after.iter().find(|from| {
            let later = after.iter().find(|to| to.at >= from.at + WINDOW);
            later.is_some_and(|to| rate(from, to) >= pace)
        });
        found.map(|sample| sample.at - since)
    }

    fn samples(&self) -> MutexGuard<'_, Vec<Sample>> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn rate(from: &Sample, to: &Sample) -> f64 {
    let seconds = (to.at - from.at).as_secs_f64();
    if seconds > 0.0 { (to.ended - from.ended) as f64 / seconds } else { 0.0 }
}

async fn look(ground: &Ground) -> Option<Sample> {
    let asked = sqlx::query_scalar("SELECT count(ended_at) FROM saga");
    let ended = asked.fetch_one(ground.pool("orchestrator").ok()?);
    let ended = timeout(LIMIT, ended).await.ok()?.ok()?;
    Some(Sample { at: Instant::now(), ended })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovered_is_the_first_moment_from_which_the_pace_is_kept() {
        let start = Instant::now();
        // Ten a second, nothing for four seconds, ten a second again.
        let ended = |second: u64| match second {
            0..=3 => second * 10,
            4..=7 => 30,
            _ => 30 + (second - 7) * 10,
        };
        let samples = (0..14).map(|second| Sample {
            at: start + Duration::from_secs(second),
            ended: ended(second) as i64,
        });
        let pace = Pace { samples: Mutex::new(samples.collect()) };
        let healed = start + Duration::from_secs(4);
        let found = pace.first_at(healed, 10.0 * ENOUGH);
        assert_eq!(found, Some(Duration::from_secs(3)));
        assert_eq!(pace.first_at(healed, 11.0), None);
    }
}
