//! How one sees from outside that a fault has been felt.

use super::cluster;
use crate::{
    fault::{Dependency, Fault, Mood, Trouble},
    ground::Ground,
};
use futures_util::future::join_all;
use std::collections::BTreeMap;

/// Half an hour, in seconds: a clock that was moved by so many hours is off by no more than this.
const WRONG: i64 = 1800;
/// Above this, in seconds, an answer of the simulator was late on purpose.
const LATE: f64 = 0.5;

/// What was counted before.
pub(super) struct Signs {
    reconnects: BTreeMap<String, f64>,
    touched: u64,
    answered: (f64, f64),
    leader: Option<String>,
}

impl Signs {
    pub(super) async fn before(ground: &Ground, fault: &Fault) -> Self {
        Signs {
            reconnects: reconnects(ground, fault).await,
            touched: touched(ground, fault),
            answered: answered(ground).await,
            leader: led_by(ground, fault).await,
        }
    }

    /// What there is to see; `None` as long as there is nothing.
    pub(super) async fn seen(&self, ground: &Ground, fault: &Fault) -> Option<String> {
        match fault {
            Fault::Killed(process) => {
                let gone = ground.readiness(process).await.is_err();
                gone.then(|| "it did not answer".to_owned())
            }
            Fault::Frozen(process) => {
                let silent = ground.readiness(process).await.is_err();
                silent.then(|| "it did not answer within 1 s".to_owned())
            }
            Fault::BrokerKilled | Fault::QueueDeleted(_) => self.reconnected(ground, fault).await,
            Fault::LeaderKilled(_) => {
                if let Some(lost) = self.reconnected(ground, fault).await {
                    return Some(lost);
                }
                // Perhaps nobody was connected to that node; then only the others notice.
                let now = led_by(ground, fault).await?;
                (self.leader.as_ref() != Some(&now)).then(|| format!("{now} leads since"))
            }
            // Told at once, or never: nothing was in it.
            Fault::QueueLost(_) => None,
            Fault::MemoryAlarm => down(ground, "publisher", "takes no messages").await,
            Fault::DatabaseKilled => down(ground, "database", "").await,
            Fault::Network(_, trouble) => {
                let touched = touched(ground, fault).saturating_sub(self.touched);
                let what = match trouble {
                    Trouble::Cut => "connections cut",
                    Trouble::HalfOpen => "reads lost",
                    Trouble::Lossy => "reads late",
                };
                (touched > 0).then(|| format!("{touched} {what}"))
            }
            Fault::Outside(who, Mood::Down) => opened(ground, *who).await,
            Fault::Outside(_, Mood::Slow) => {
                let (count, sum) = answered(ground).await;
                let mean = (sum - self.answered.1) / (count - self.answered.0).max(1.0);
                (mean > LATE).then(|| format!("its answers took {mean:.1} s"))
            }
            Fault::ClockJumped(hours) => wrong_clock(ground, *hours).await,
        }
    }

    /// Somebody has lost a connection since.
    async fn reconnected(&self, ground: &Ground, fault: &Fault) -> Option<String> {
        let now = reconnects(ground, fault).await;
        let before = |process| self.reconnects.get(process).copied().unwrap_or_default();
        let more: f64 = now.iter().map(|(process, now)| (now - before(process)).max(0.0)).sum();
        (more > 0.0).then(|| format!("{more} connections lost"))
    }
}

async fn led_by(ground: &Ground, fault: &Fault) -> Option<String> {
    let Fault::LeaderKilled(queue) = fault else { return None };
    cluster::led_by(ground, queue).await
}

/// What each process has lost so far: of all its connections, or of those that consume the queue.
async fn reconnects(ground: &Ground, fault: &Fault) -> BTreeMap<String, f64> {
    const NAME: &str = "broker_reconnects_total";
    match fault {
        Fault::QueueDeleted(queue) => {
            let label = format!("connection=\"consumer {queue}\"");
            count(ground, NAME, &[&label]).await
        }
        _ => count(ground, NAME, &[]).await,
    }
}

fn touched(ground: &Ground, fault: &Fault) -> u64 {
    let Fault::Network(peer, _) = fault else { return 0 };
    ground.links(*peer).map_or(0, |links| links.iter().map(testkit::Proxy::touched).sum())
}

/// The sum of each process's series of this name with these labels; nothing of who does not answer.
async fn count(ground: &Ground, name: &str, labels: &[&str]) -> BTreeMap<String, f64> {
    let counts = join_all(ground.processes().map(async |process| {
        let text = ground.metrics(process).await.ok()?;
        Some((process.to_owned(), sum(&text, name, labels)))
    }));
    counts.await.into_iter().flatten().collect()
}

fn sum(text: &str, name: &str, labels: &[&str]) -> f64 {
    let values = text.lines().filter_map(|line| {
        let (series, value) = line.strip_prefix(name)?.rsplit_once(' ')?;
        let whole = series.is_empty() || series.starts_with('{');
        let fits = whole && labels.iter().all(|label| series.contains(label));
        if fits { value.parse::<f64>().ok() } else { None }
    });
    values.fold(0.0, |sum, value| sum + value)
}

/// Requests that the simulator has answered, and the seconds that they took.
async fn answered(ground: &Ground) -> (f64, f64) {
    let text = ground.metrics("simulator").await.unwrap_or_default();
    let one = |end: &str| {
        sum(&text, &format!("http_server_request_duration_seconds_{end}"), &["authorisations"])
    };
    (one("count"), one("sum"))
}

/// Somebody says that this part of it is down.
async fn down(ground: &Ground, part: &str, reason: &str) -> Option<String> {
    let told = join_all(ground.processes().map(async |process| {
        let (_, body) = ground.readiness(process).await.ok()?;
        let part = &body["parts"][part];
        let why = part["reason"].as_str()?;
        (part["up"] == false && why.contains(reason)).then(|| format!("{process}: {why}"))
    }));
    told.await.into_iter().flatten().next()
}

async fn opened(ground: &Ground, who: Dependency) -> Option<String> {
    let label = format!("breaker=\"{}\"", who.as_str());
    let states = count(ground, "breaker_state", &[&label]).await;
    let open = states.into_iter().find(|(_, state)| *state > 0.0)?;
    Some(format!("{}'s breaker opened", open.0))
}

/// Somebody whose clock was moved has logged something since, in the direction in which it was moved.
async fn wrong_clock(ground: &Ground, hours: i32) -> Option<String> {
    let ours = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?;
    let ours = i64::try_from(ours.as_secs()).ok()?;
    let clocks = ground.clocks().await.into_iter().map(|(name, theirs)| (name, theirs - ours));
    let mut moved = clocks.filter(|(_, off)| (off - i64::from(hours) * 3600).abs() < WRONG);
    let (name, off) = moved.next()?;
    Some(format!("{name} logs {:+.1} h", off as f64 / 3600.0))
}
