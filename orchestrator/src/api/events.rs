//! Sagas as they move, as server-sent events. Found by looking at the journal, twice a second and
//! only while somebody listens: so the way of a saga pays nothing for it, and it does not matter
//! which orchestrator moved it. All listeners of one process share one look, which reads the revisions
//! of the open sagas and of those that have just ended, and then what has moved.

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
use futures_util::{Stream, StreamExt as _, stream};
use runtime::http::{PathId, Problem};
use sqlx::PgPool;
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
/// Open sagas that a listener to all is told of at first.
const AT_FIRST: i64 = 2_000;
/// Sagas that are read at a time.
const CHUNK: usize = 500;

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

/// Every saga that moves, as an item of the list; at first those that are open, the newest 2,000.
#[utoipa::path(get, path = "/api/v1/events", operation_id = "listen-to-all", responses(
    (status = 200, body = String, content_type = "text/event-stream", description = "`event: saga`, `id`: its revision, `data`: a SagaItem."),
))]
pub async fn all(
    State(desk): State<Desk>,
) -> Result<Sse<impl Stream<Item = Result<sse::Event, Infallible>>>, Problem> {
    let place = desk.listeners.place()?;
    // In this order: what moves while the open ones are read is news.
    let (keep, news) = subscribe(&desk).await?;
    let open = Filter { open: Some(true), ..Filter::default() };
    let (found, _) = open.page(&desk.engine.pool, None, AT_FIRST).await.map_err(problem)?;
    let catalogue = Arc::clone(&desk.engine.catalogue);
    let first = found.into_iter().map(move |found| {
        let item = Item::of(found, &catalogue);
        Ok(event(item.revision, &item))
    });
    let shutdown = desk.sender.shutdown.clone();
    let moves = stream::unfold((news, keep, place, shutdown), |mut it| async move {
        let item = tokio::select! {
            // Lagging behind ends it, too: the client comes again and is told where things stand.
            item = it.0.recv() => item.ok()?,
            () = it.3.begun() => return None,
        };
        Some((Ok(event(item.revision, item.as_ref())), it))
    });
    let stream = stream::iter(first).chain(moves);
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}

/// One saga, whole, whenever it has moved; ends with the saga.
#[utoipa::path(get, path = "/api/v1/sagas/{id}/events", operation_id = "listen-to-saga",
    params(("id" = Uuid, Path, description = "The saga.")),
    responses(
        (status = 200, body = String, content_type = "text/event-stream", description = "`event: saga`, `id`: its revision, `data`: a Saga."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json", description = "There is no such saga."),
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
    store::in_time(asked.fetch_optional(&desk.engine.pool)).await.map_err(problem)
}

type News = (Arc<broadcast::Sender<Arc<Item>>>, broadcast::Receiver<Arc<Item>>);
type Revisions = HashMap<Uuid, i64>;

/// The news, and what keeps them coming: whoever is first starts the look, and it ends with the
/// last listener.
async fn subscribe(desk: &Desk) -> Result<News, Problem> {
    let mut all = desk.listeners.all.lock().await;
    if let Some(news) = all.upgrade() {
        let receiver = news.subscribe();
        return Ok((news, receiver));
    }
    let told = revisions(&desk.engine.pool).await.map_err(problem)?;
    let (sender, receiver) = broadcast::channel(BEHIND);
    let sender = Arc::new(sender);
    *all = Arc::downgrade(&sender);
    tokio::spawn(look(desk.clone(), Arc::downgrade(&sender), told));
    Ok((sender, receiver))
}

async fn look(desk: Desk, listeners: Weak<broadcast::Sender<Arc<Item>>>, mut told: Revisions) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = desk.sender.shutdown.begun() => return,
        }
        let Some(news) = listeners.upgrade() else { return };
        if let Err(error) = store::in_time(tell(&desk, &news, &mut told)).await {
            tracing::debug!(%error, "cannot look for sagas that move");
        }
    }
}

/// Tells of every saga that is not as it was when it was told of.
async fn tell(
    desk: &Desk,
    news: &broadcast::Sender<Arc<Item>>,
    told: &mut Revisions,
) -> sqlx::Result<()> {
    let pool = &desk.engine.pool;
    let seen = revisions(pool).await?;
    let is_new = |(id, revision): (&Uuid, &i64)| (told.get(id) != Some(revision)).then_some(*id);
    let moved: Vec<Uuid> = seen.iter().filter_map(is_new).collect();
    for some in moved.chunks(CHUNK) {
        for found in Found::all(pool, some).await? {
            let item = Arc::new(Item::of(found, &desk.engine.catalogue));
            // Nobody there: the next turn ends it.
            let _ = news.send(item);
        }
    }
    *told = seen;
    Ok(())
}

/// Of every saga that is open, however many there are, and of those that ended within the last five
/// seconds.
async fn revisions(pool: &PgPool) -> sqlx::Result<Revisions> {
    let rows: Vec<(Uuid, i64)> = sqlx::query_as(
        "SELECT id, revision FROM saga WHERE ended_at IS NULL
         UNION ALL
         SELECT id, revision FROM saga WHERE ended_at > now() - interval '5 s'",
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().collect())
}
