//! What lies in the queues: dead letters that nobody has collected, and the depths of the rest.

use super::{
    error::Error,
    invariant::{Finding, Invariant, Need},
    removed::Removed,
    snapshot::Snapshot,
    sources::{Broker, Sources},
};
use reqwest::{Method, Url};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use sqlx::FromRow;
use std::collections::BTreeSet;
use time::OffsetDateTime;
use uuid::Uuid;

/// Of one queue, as many are read; the rest is counted.
const MOST: u64 = 1_000;
const DEAD_LETTERS: &str = ".dead-letters";
const NEED: Need = Need::Broker;

pub(crate) const OF_A_LETTER: &[Invariant<Letter>] = &[
    Invariant {
        name: "dead-letter-says-why",
        says: "every dead letter carries the reason why it is one, ours or the broker's",
        needs: &[Need::Broker],
        broken: says_why,
    },
    Invariant {
        name: "dead-letter-has-its-saga",
        says: "every dead letter belongs to a saga that exists or was removed after its time, or could not be read at all (poison)",
        needs: &[Need::Broker],
        broken: has_its_saga,
    },
];

/// One dead letter.
#[derive(Clone, Debug, Serialize)]
pub struct Letter {
    pub queue: String,
    pub message: Option<String>,
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub saga: Option<String>,
    pub known: bool,
    /// When it was sent.
    #[serde(skip)]
    pub(super) at: Option<OffsetDateTime>,
    pub reason: Option<String>,
    pub error: Option<String>,
}

/// A queue and what is in it; counts may be five seconds old.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Depth {
    #[serde(rename(deserialize = "name"))]
    pub queue: String,
    #[serde(default, rename(deserialize = "messages_ready"))]
    pub ready: u64,
    #[serde(default, rename(deserialize = "messages_unacknowledged"))]
    pub unacknowledged: u64,
}

#[derive(FromRow)]
struct Key {
    key: Uuid,
}

/// The queues that are not empty.
pub(crate) async fn depths(sources: &Sources) -> Result<Vec<Depth>, Error> {
    let Some(broker) = &sources.broker else { return Ok(Vec::new()) };
    let columns = "columns=name,messages_ready,messages_unacknowledged";
    let url = broker.address(&["queues", &broker.vhost], Some(columns))?;
    let mut depths: Vec<Depth> = ask(sources, Method::GET, url, None).await?;
    depths.retain(|depth| depth.ready + depth.unacknowledged > 0);
    depths.sort_by(|a, b| a.queue.cmp(&b.queue));
    Ok(depths)
}

/// The dead letters themselves. They are put back where they were; their queues have no limit on
/// deliveries that reading them could use up.
pub(crate) async fn read(
    sources: &Sources,
    depths: &[Depth],
    journal: &mut Snapshot,
) -> Result<Vec<Letter>, Error> {
    let Some(broker) = &sources.broker else { return Ok(Vec::new()) };
    let mut letters = Vec::new();
    for depth in depths.iter().filter(|depth| depth.queue.ends_with(DEAD_LETTERS)) {
        let url = broker.address(&["queues", &broker.vhost, &depth.queue, "get"], None)?;
        let wanted = json!({
            "count": depth.ready.min(MOST), "ackmode": "reject_requeue_true",
            "encoding": "auto", "truncate": 1,
        });
        let messages: Vec<Value> = ask(sources, Method::POST, url, Some(wanted)).await?;
        letters.extend(messages.iter().map(|message| Letter::new(&depth.queue, message)));
    }
    let named: BTreeSet<Uuid> = letters.iter().filter_map(Letter::id).collect();
    let named: Vec<Uuid> = named.into_iter().collect();
    let known: Vec<Key> =
        journal.among("SELECT id AS key FROM saga WHERE id = ANY($1)", &named).await?;
    let known: BTreeSet<Uuid> = known.into_iter().map(|Key { key }| key).collect();
    let removed = Removed::read(journal).await?;
    for letter in &mut letters {
        letter.known = letter.id().is_some_and(|id| {
            known.contains(&id) || letter.at.is_some_and(|at| removed.covers(at))
        });
    }
    Ok(letters)
}

impl Letter {
    fn new(queue: &str, message: &Value) -> Self {
        let properties = &message["properties"];
        let headers = &properties["headers"];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        // What the broker gave up on (too many deliveries, a rejection) tells so in its own way.
        let by_broker =
            || text(&headers["x-death"][0]["reason"]).or(text(&headers["x-first-death-reason"]));
        Letter {
            queue: queue.to_owned(),
            message: text(&properties["message_id"]),
            kind: text(&properties["type"]),
            saga: text(&properties["correlation_id"]),
            known: false,
            at: properties["timestamp"]
                .as_i64()
                .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok()),
            reason: text(&headers["dead-reason"]).or_else(by_broker),
            error: text(&headers["dead-error"]),
        }
    }

    pub(crate) fn id(&self) -> Option<Uuid> {
        self.saga.as_deref()?.parse().ok()
    }

    #[cfg(test)]
    pub(crate) fn of_saga(saga: Uuid) -> Self {
        let properties = json!({ "correlation_id": saga, "headers": { "dead-reason": "fault" } });
        Letter::new("orchestrator.dead-letters", &json!({ "properties": properties }))
    }

    fn about(&self) -> String {
        format!("{} in {}", self.message.as_deref().unwrap_or("a message without id"), self.queue)
    }
}

fn says_why(letter: &Letter) -> Vec<Finding> {
    match letter.reason {
        Some(_) => Vec::new(),
        None => vec![Finding::new(letter.about(), format!("{:?}, no reason", letter.kind))],
    }
}

fn has_its_saga(letter: &Letter) -> Vec<Finding> {
    let poison = letter.reason.as_deref().is_some_and(|reason| reason.starts_with("poison-"));
    match letter.known || poison {
        true => Vec::new(),
        false => {
            let seen = format!("saga {:?}, reason {:?}", letter.saga, letter.reason);
            vec![Finding::new(letter.about(), seen)]
        }
    }
}

impl Broker {
    fn address(&self, path: &[&str], query: Option<&str>) -> Result<Url, Error> {
        let wrong = || Error::Url("RABBITMQ_MANAGEMENT_URL".to_owned());
        let mut url = Url::parse(self.url.expose()).map_err(|_| wrong())?;
        let mut segments = url.path_segments_mut().map_err(|()| wrong())?;
        segments.pop_if_empty().push("api").extend(path);
        drop(segments);
        url.set_query(query);
        Ok(url)
    }
}

async fn ask<T: DeserializeOwned>(
    sources: &Sources,
    method: Method,
    url: Url,
    body: Option<Value>,
) -> Result<T, Error> {
    let mut request = sources.http.request(method, url);
    if let Some(body) = body {
        request = request.json(&body);
    }
    // Errors of the client repeat the URL, which holds a login.
    let answer = request.send().await.and_then(reqwest::Response::error_for_status);
    let answer = answer.map_err(|error| Error::Http(NEED, error.without_url()))?;
    let text = answer.text().await.map_err(|error| Error::Http(NEED, error.without_url()))?;
    serde_json::from_str(&text).map_err(|error| Error::Answer(NEED, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(headers: Value) -> Letter {
        let properties = json!({ "correlation_id": Uuid::nil(), "headers": headers });
        Letter::new("order.dead-letters", &json!({ "properties": properties }))
    }

    #[test]
    fn a_letter_is_accounted_for_by_its_saga_or_by_being_unreadable() {
        let spent = letter(json!({ "dead-reason": "attempts-spent" }));
        assert!(says_why(&spent).is_empty());
        assert_eq!(has_its_saga(&spent).len(), 1);
        assert!(has_its_saga(&Letter { known: true, ..spent }).is_empty());
        assert!(has_its_saga(&letter(json!({ "dead-reason": "poison-not-json" }))).is_empty());
    }

    #[test]
    fn what_the_broker_gave_up_on_says_why_in_the_brokers_words() {
        let worn = letter(json!({ "x-death": [{ "reason": "delivery_limit" }] }));
        assert_eq!(worn.reason.as_deref(), Some("delivery_limit"));
        assert_eq!(says_why(&letter(json!({}))).len(), 1);
    }

    #[test]
    fn a_virtual_host_may_have_any_name() {
        let url = runtime::config::Redacted::new("http://u:p@rabbit:15672");
        let broker = Broker { url, vhost: "/".to_owned() };
        let address = broker.address(&["queues", &broker.vhost], Some("columns=name")).unwrap();
        assert_eq!(address.as_str(), "http://u:p@rabbit:15672/api/queues/%2F?columns=name");
    }
}
