//! Sagas as they move, as server-sent events. Found by looking at the journal, twice a second and
//! only while somebody listens: so the way of a saga pays nothing for it, and it does not matter
//! which orchestrator moved it. All listeners of one process share one look, which reads the open
//! sagas and those that have just ended.

use super::{
    Desk,
    filter::{Filter, Found},
    list::Item,
    problem,
    schema::ProblemBody,
    view,
};
use axum::{
    extract::State,
    response::sse::{self, KeepAlive, Sse},
};
use futures_util::{Stream, stream};
use runtime::http::{PathId, Problem};
use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, broadcast};
use uuid::Uuid;

const PAUSE: Duration = Duration::from_millis(500);
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Listeners of one process.
const MOST: usize = 64;
/// News that a listener may be behind; then it is too slow, and its stream ends.
const BEHIND: usize = 4_096;

/// Who listens.
#[derive(Clone)]
pub struct Listeners {
    places: Arc<Semaphore>,
    all: Arc<Mutex<Weak<broadcast::Sender<Arc<Item>>>>>,
}

impl Default for Listeners {
    fn default() -> Self {
        Listeners { places: Arc::new(Semaphore::new(MOST)), all: Arc::default() }
    }
}

impl Listeners {
    fn place(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let place = self.places.clone().try_acquire_owned();
        place.map_err(|_| Problem::unavailable("too many listen already", 10))
    }
}

/// Every saga that moves, as an item of the list; at first those that are open.
#[utoipa::path(get, path = "/api/v1/events", operation_id = "listen-to-all", responses(
    (status = 200, body = String, content_type = "text/event-stream", description = "`event: saga`, `id`: its revision, `data`: a SagaItem."),
    (status = 503, body = ProblemBody, content_type = "application/problem+json", description = "Too many listen already."),
))]
pub async fn all(
    State(desk): State<Desk>,
) -> Result<Sse<impl Stream<Item = Result<sse::Event, Infallible>>>, Problem> {
    let place = desk.listeners.place()?;
    let (keep, news) = subscribe(&desk).await;
    let shutdown = desk.sender.shutdown.clone();
    let stream = stream::unfold((news, keep, place, shutdown), |mut it| async move {
        let item = tokio::select! {
            // Lagging behind ends it, too: the client comes again and is told where things stand.
            item = it.0.recv() => item.ok()?,
            () = it.3.begun() => return None,
        };
        Some((Ok(event(item.revision, item.as_ref())), it))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}

/// One saga, whole, whenever it has moved; ends with the saga.
#[utoipa::path(get, path = "/api/v1/sagas/{id}/events", operation_id = "listen-to-saga",
    params(("id" = Uuid, Path, description = "The saga.")),
    responses(
        (status = 200, body = String, content_type = "text/event-stream", description = "`event: saga`, `id`: its revision, `data`: a Saga."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "There is no such saga."),
        (status = 503, body = ProblemBody, content_type = "application/problem+json", description = "Too many listen already."),
    ))]
pub async fn one(
    State(desk): State<Desk>,
    PathId(id): PathId<Uuid>,
) -> Result<Sse<impl Stream<Item = Result<sse::Event, Infallible>>>, Problem> {
    let place = desk.listeners.place()?;
    if revision(&desk, id).await?.is_none() {
        return Err(Problem::not_found(format!("no saga {id}")));
    }
    let stream = stream::unfold((desk, place, Some(0)), move |(desk, place, told)| async move {
        let told = told?;
        loop {
            // A journal that is away ends the stream: the client comes again.
            let now = revision(&desk, id).await.ok()??;
            if now > told {
                let view = view::view(&desk, id).await.ok()??;
                let next = (!view.has_ended()).then_some(now);
                return Some((Ok(event(now, &view)), (desk, place, next)));
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = desk.sender.shutdown.begun() => return None,
            }
        }
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}

fn event<T: serde::Serialize>(revision: i64, data: &T) -> sse::Event {
    // Plain structs: writing them as JSON cannot fail.
    let data = serde_json::to_string(data).unwrap_or_default();
    sse::Event::default().event("saga").id(revision.to_string()).data(data)
}

async fn revision(desk: &Desk, id: Uuid) -> Result<Option<i64>, Problem> {
    let asked = sqlx::query_scalar("SELECT revision FROM saga WHERE id = $1").bind(id);
    asked.fetch_optional(&desk.engine.pool).await.map_err(problem)
}

type News = (Arc<broadcast::Sender<Arc<Item>>>, broadcast::Receiver<Arc<Item>>);

/// The news, and what keeps them coming: whoever is first starts the look, and it ends with the
/// last listener.
async fn subscribe(
    desk: &Desk,
) -> (Arc<broadcast::Sender<Arc<Item>>>, broadcast::Receiver<Arc<Item>>) {
    let mut all = desk.listeners.all.lock().await;
    if let Some(news) = all.upgrade() {
        let receiver = news.subscribe();
        return (news, receiver);
    }
    let (sender, receiver) = broadcast::channel(BEHIND);
    let sender = Arc::new(sender);
    *all = Arc::downgrade(&sender);
    tokio::spawn(look(desk.clone(), Arc::downgrade(&sender)));
    let news: News = (sender, receiver);
    news
}

async fn look(desk: Desk, listeners: Weak<broadcast::Sender<Arc<Item>>>) {
    let mut told: HashMap<Uuid, i64> = HashMap::new();
    while let Some(news) = listeners.upgrade() {
        match Filter::moving(&desk.engine.pool).await {
            Ok(found) => {
                let seen: HashMap<Uuid, i64> =
                    found.iter().map(|found| (found.id, found.revision)).collect();
                let is_new = |found: &Found| told.get(&found.id) != Some(&found.revision);
                for found in found.into_iter().filter(is_new) {
                    let item = Arc::new(Item::of(found, &desk.engine.catalogue));
                    // Nobody there: the next turn ends it.
                    let _ = news.send(item);
                }
                told = seen;
            }
            Err(error) => tracing::debug!(%error, "cannot look for sagas that move"),
        }
        drop(news);
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = desk.sender.shutdown.begun() => return,
        }
    }
}
