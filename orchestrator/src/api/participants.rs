//! Who takes commands: what waits for each of them, who reads it, and what their breakers say.

use super::{Desk, problem, schema::Listed};
use axum::{Json, extract::State};
use futures_util::future;
use messaging::{Amqp, Depth, Tier, command_queue, dead_letter_queue, retry_queue, survey};
use runtime::{config, http::Problem, http_client, page::Page};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::Mutex, time::timeout};
use utoipa::ToSchema;

/// Whoever asks within this time gets the same answer, however many ask.
const FRESH: Duration = Duration::from_secs(2);
const SURVEY_LIMIT: Duration = Duration::from_secs(3);
const SCRAPE_LIMIT: Duration = Duration::from_secs(1);

/// Where they are asked.
#[derive(Clone)]
pub struct Participants {
    amqp: Amqp,
    /// By participant, the base of its HTTP side.
    urls: Arc<BTreeMap<String, String>>,
    client: reqwest::Client,
    recent: Recent,
}

/// What was found last, and when.
type Recent = Arc<Mutex<Option<(Instant, Vec<Participant>)>>>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error("PARTICIPANT_URLS is not a list of name=http://… separated by commas")]
    Urls,
    #[error(transparent)]
    Client(#[from] http_client::Error),
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Participant {
    name: String,
    commands: Commands,
    retries: Vec<Retries>,
    dead_letters: Letters,
    /// Null when it could not be asked.
    breakers: Option<Vec<Breaker>>,
    /// Whether it answers by HTTP; null when nobody told the orchestrator where.
    reachable: Option<bool>,
}

/// Null: there is no such queue, or RabbitMQ cannot be asked.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Commands {
    ready: Option<u32>,
    consumers: Option<u32>,
}

/// What is tried again when its tier's time is over.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Retries {
    tier: &'static str,
    ready: u32,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
struct Letters {
    /// Not collected yet.
    queued: u32,
    /// Collected, and neither replayed nor discarded.
    open: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
struct Breaker {
    name: String,
    /// `closed`, `half-open` or `open`.
    state: &'static str,
}

impl Participants {
    /// `PARTICIPANT_URLS` (`payment=http://localhost:8003,…`, none): where participants tell of
    /// their breakers.
    pub fn from_env(amqp: &Amqp) -> Result<Self, Error> {
        let told: String = config::env("PARTICIPANT_URLS", Some(String::new()))?;
        Self::new(amqp.clone(), &told)
    }

    pub fn new(amqp: Amqp, urls: &str) -> Result<Self, Error> {
        let pairs = urls.split(',').map(str::trim).filter(|pair| !pair.is_empty());
        let urls = pairs.map(|pair| match pair.split_once('=') {
            Some((name, url)) if url.starts_with("http://") || url.starts_with("https://") => {
                Ok((name.trim().to_owned(), url.trim().trim_end_matches('/').to_owned()))
            }
            _ => Err(Error::Urls),
        });
        let urls = Arc::new(urls.collect::<Result<_, _>>()?);
        Ok(Participants { amqp, urls, client: http_client::client()?, recent: Arc::default() })
    }

    /// `None` when nobody knows where to ask it, `Some(None)` when it does not answer.
    async fn told(&self, name: &str) -> Option<Option<Vec<Breaker>>> {
        Some(self.breakers(self.urls.get(name)?).await)
    }

    async fn breakers(&self, url: &str) -> Option<Vec<Breaker>> {
        let asked = async {
            let answer = self.client.get(format!("{url}/metrics")).send().await?;
            answer.error_for_status()?.text().await
        };
        Some(breakers(&timeout(SCRAPE_LIMIT, asked).await.ok()?.ok()?))
    }
}

/// Who takes commands, with their queues and breakers.
#[utoipa::path(get, path = "/api/v1/participants", operation_id = "list-participants", responses(
    (status = 200, body = Listed<Participant>, description = "All of them, at most two seconds old."),
))]
pub async fn participants(State(desk): State<Desk>) -> Result<Json<Page<Participant>>, Problem> {
    let items = all(&desk).await?;
    Ok(Json(Page { items, next: None }))
}

/// Those of these names.
pub(super) async fn some(desk: &Desk, names: &[&str]) -> Result<Vec<Participant>, Problem> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let mut some = all(desk).await?;
    some.retain(|it| names.contains(&it.name.as_str()));
    Ok(some)
}

async fn all(desk: &Desk) -> Result<Vec<Participant>, Problem> {
    let mut recent = desk.participants.recent.lock().await;
    if let Some((at, items)) = recent.as_ref()
        && at.elapsed() < FRESH
    {
        return Ok(items.clone());
    }
    let items = look(desk).await?;
    *recent = Some((Instant::now(), items.clone()));
    Ok(items)
}

async fn look(desk: &Desk) -> Result<Vec<Participant>, Problem> {
    let plans = desk.engine.catalogue.iter().map(|definition| definition.plan());
    let names: BTreeSet<&str> =
        plans.flat_map(|plan| plan.steps().map(|(_, step)| step.action.participant())).collect();
    let queues: Vec<String> = names.iter().flat_map(|name| queues(name)).collect();
    let surveying = timeout(SURVEY_LIMIT, survey(&desk.participants.amqp, &queues));
    let told = names.iter().map(|name| desk.participants.told(name));
    // At once, so that the slowest of them is what it takes.
    let (surveyed, told) = future::join(surveying, future::join_all(told)).await;
    let depths = match surveyed {
        Ok(Ok(depths)) => depths,
        Ok(Err(error)) => {
            tracing::warn!(%error, "queues cannot be looked at");
            vec![None; queues.len()]
        }
        Err(_) => {
            tracing::warn!("queues are not told of in time");
            vec![None; queues.len()]
        }
    };
    let open: BTreeMap<String, i64> = sqlx::query_as(
        "SELECT participant, count(*) FROM dead_letter WHERE state = 'open' GROUP BY participant",
    )
    .fetch_all(&desk.engine.pool)
    .await
    .map_err(problem)?
    .into_iter()
    .collect();
    let mut found = Vec::with_capacity(names.len());
    for ((name, depths), told) in names.into_iter().zip(depths.chunks(QUEUES)).zip(told) {
        let reachable = told.as_ref().map(Option::is_some);
        let open = open.get(name).copied().unwrap_or_default();
        found.push(participant(name, depths, open, told.flatten(), reachable));
    }
    Ok(found)
}

/// A command queue, a dead-letter queue and a queue for each tier.
const QUEUES: usize = 2 + Tier::ALL.len();

fn queues(name: &str) -> [String; QUEUES] {
    let [first, second, third] = Tier::ALL.map(|tier| retry_queue(name, tier));
    [command_queue(name), dead_letter_queue(name), first, second, third]
}

fn participant(
    name: &str,
    depths: &[Option<Depth>],
    open: i64,
    breakers: Option<Vec<Breaker>>,
    reachable: Option<bool>,
) -> Participant {
    let ready = |place: usize| depths.get(place).copied().flatten().map(|depth| depth.ready);
    let tiers = Tier::ALL.iter().enumerate();
    let consumers = depths.first().copied().flatten().map(|depth| depth.consumers);
    Participant {
        name: name.to_owned(),
        commands: Commands { ready: ready(0), consumers },
        retries: tiers
            .map(|(n, tier)| Retries { tier: tier.name(), ready: ready(2 + n).unwrap_or(0) })
            .collect(),
        dead_letters: Letters { queued: ready(1).unwrap_or(0), open },
        breakers,
        reachable,
    }
}

/// Out of Prometheus' text: `breaker_state{breaker="gateway"} 2`.
fn breakers(metrics: &str) -> Vec<Breaker> {
    let lines = metrics.lines().filter_map(|line| line.strip_prefix("breaker_state{"));
    lines
        .filter_map(|line| {
            let (labels, value) = line.rsplit_once("} ")?;
            let (_, name) = labels.split_once("breaker=\"")?;
            let state = match value.trim() {
                "0" => "closed",
                "1" => "half-open",
                "2" => "open",
                _ => return None,
            };
            Some(Breaker { name: name.split('"').next()?.to_owned(), state })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breakers_are_read_out_of_a_participants_metrics() {
        let text = "# TYPE breaker_state gauge\nbreaker_state{breaker=\"gateway\"} 2\n\
                    breaker_refused_total{breaker=\"gateway\"} 7\nbreaker_state{breaker=\"smtp\"} 0\n";
        let breaker = |name: &str, state| Breaker { name: name.to_owned(), state };
        assert_eq!(breakers(text), [breaker("gateway", "open"), breaker("smtp", "closed")]);
    }
}
