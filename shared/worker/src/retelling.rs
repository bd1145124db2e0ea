//! Events that RabbitMQ has not brought. An event is told once; a subscriber's queue that is deleted
//! takes with it what was in it, and what is told until it is there again reaches nobody. The
//! publisher's own tables are still there. So a subscriber asks the publisher from time to time what
//! has become true since it asked last, and hears it as it would have heard it from its queue: what
//! it has taken in before counts once.

use crate::{
    database::Database,
    desk::{self, Desk},
    listen::{self, Heard, Item},
    series,
};
use contracts::EventEnvelope;
use runtime::{outside::Outside, page::Page, shutdown::Shutdown};
use std::{error::Error as _, sync::Arc, time::Duration};
use store::{relay::Relay, retold};
use tokio::time::timeout;

/// From one question to the next when there was nothing new.
const PAUSE: Duration = Duration::from_secs(5);
/// For one question.
const ANSWER: Duration = Duration::from_secs(5);
/// One instance asks at a time, unless it takes longer than this; two that ask hear the same.
const TAKEN: Duration = Duration::from_secs(10);
/// The most that a list gives at once.
const MOST: &str = "200";
const PATH: &str = "api/v1/events";
/// Questions until an event that keeps faulting is passed over, so that it does not stand in the
/// way of those behind it.
const TRIES: u32 = 6;

/// Who is asked.
#[derive(Clone, Debug)]
pub(crate) struct Publisher {
    pub(crate) name: &'static str,
    pub(crate) outside: Outside,
}

pub(crate) struct Retelling {
    pub(crate) publisher: Publisher,
    pub(crate) desk: Arc<Desk>,
    pub(crate) database: Database,
    pub(crate) relay: Relay,
    pub(crate) shutdown: Shutdown,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("how far was asked is not known")]
    Place(#[from] sqlx::Error),
    #[error("the publisher was not heard")]
    Publisher(#[from] runtime::outside::Error),
    #[error("the publisher took too long")]
    TooLong,
    #[error("an event could not be taken in now: {0}")]
    NotNow(String),
    #[error("stopping")]
    Stopping,
}

impl Retelling {
    /// Until a stop begins. Nothing depends on how soon this is: the queue is the quick way.
    pub(crate) async fn run(self) {
        let mut faulted = 0;
        while !self.shutdown.is_begun() {
            let patient = faulted < TRIES;
            match self.ask(patient).await {
                Ok(more) => {
                    faulted = 0;
                    if more {
                        continue;
                    }
                }
                Err(error) => {
                    faulted += u32::from(matches!(error, Error::NotNow(_)));
                    let cause = error.source().map(ToString::to_string);
                    tracing::debug!(publisher = self.publisher.name, %error, cause, "asked in vain");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = self.shutdown.begun() => {}
            }
        }
    }

    /// One page. Whether there may be more.
    async fn ask(&self, patient: bool) -> Result<bool, Error> {
        let pool = &self.database.pool;
        let Publisher { name, outside } = &self.publisher;
        let taken = store::in_time(retold::take(pool, name, TAKEN)).await?;
        let Some(place) = taken else { return Ok(false) };
        let mut query = vec![("limit", MOST)];
        query.extend(place.as_deref().map(|place| ("cursor", place)));
        let asked = timeout(ANSWER, outside.get::<Page<EventEnvelope>>(PATH, &query)).await;
        let heard = match asked.map_err(|_| Error::TooLong).and_then(|asked| Ok(asked?)) {
            Ok(page) => self.hear(&page.items, patient).await.map(|()| page.next),
            Err(error) => Err(error),
        };
        let next = heard.as_ref().ok().and_then(|next| next.as_deref());
        store::in_time(retold::leave(pool, name, next)).await?;
        Ok(heard?.is_some())
    }

    async fn hear(&self, events: &[EventEnvelope], patient: bool) -> Result<(), Error> {
        let items: Vec<Item<'_>> =
            events.iter().filter_map(|event| self.desk.heard(event)).collect();
        if items.is_empty() {
            return Ok(());
        }
        let handle = |items| listen::handle(&self.database.lanes, items);
        let results = desk::each(&self.database, items.clone(), handle).await;
        let results = results.map_err(|_| Error::Stopping)?;
        self.relay.nudge();
        for (Item { event, .. }, result) in items.iter().zip(results) {
            match result {
                Ok(Heard::Before) => series::retold(self.desk.name, "known"),
                Ok(Heard::New) => {
                    series::retold(self.desk.name, "new");
                    tracing::info!(event.id, "heard only when told again");
                }
                Err(fault) if patient && fault.is_transient() => {
                    return Err(Error::NotNow(fault.chain()));
                }
                Err(fault) => {
                    series::retold(self.desk.name, "faulted");
                    tracing::error!(event.id, error = fault.chain(), "cannot take in an event");
                }
            }
        }
        Ok(())
    }
}
