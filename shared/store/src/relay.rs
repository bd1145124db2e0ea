//! Sends on what the outbox holds. Each message goes out at least once: one that was sent by a
//! relay that died before deleting it goes out again, and its receiver knows it by its id.

use crate::outbox::{self, Taken};
use messaging::{EVENTS, NotSent, Outgoing, Publisher};
use runtime::{resilience::Backoff, shutdown::Shutdown};
use sqlx::PgPool;
use std::{error::Error as StdError, future::Future, sync::Arc, time::Duration};
use tokio::{sync::Notify, time::timeout};

const BATCH: i64 = 100;
const POLL: Duration = Duration::from_millis(500);
/// How long taken messages stay taken. Well beyond the time limit of sending.
const TAKEN_SECONDS: f64 = 15.0;
/// For sending one batch.
const SEND: Duration = Duration::from_secs(10);

/// For one batch altogether, with what is asked of the database.
const PASS: Duration = Duration::from_secs(20);

/// Where messages are sent to.
pub trait Send: std::marker::Send + Sync + 'static {
    type Error: StdError + std::marker::Send + Sync + 'static;
    /// Sends them all, confirmed; the positions of those that no queue takes are returned.
    fn send(
        &self,
        messages: &[Outgoing],
    ) -> impl Future<Output = Result<Vec<usize>, Self::Error>> + std::marker::Send;
}

impl Send for Publisher {
    type Error = NotSent;
    async fn send(&self, messages: &[Outgoing]) -> Result<Vec<usize>, NotSent> {
        let unroutable = Publisher::send(self, messages).await?;
        Ok(unroutable.into_iter().map(|message| message.index).collect())
    }
}

/// A handle on the running relay.
#[derive(Clone, Debug)]
pub struct Relay {
    nudge: Arc<Notify>,
}

#[derive(Debug, thiserror::Error)]
enum Error<S: StdError + 'static> {
    #[error("the outbox could not be read or cleared")]
    Database(#[from] sqlx::Error),
    #[error("messages were not sent")]
    NotSent(#[source] S),
    #[error("messages were not sent in time")]
    TimedOut,
    #[error("{0} messages have no queue to go to")]
    Unroutable(usize),
}

impl Relay {
    /// Runs until shutdown begins. What is left then is sent by the next one.
    pub fn start<P: Send>(pool: PgPool, publisher: P, shutdown: Shutdown) -> Self {
        let nudge = Arc::new(Notify::new());
        let relay = Relay { nudge: Arc::clone(&nudge) };
        tokio::spawn(async move {
            let mut delays = Backoff::new(POLL, Duration::from_secs(10));
            while !shutdown.is_begun() {
                let passed = timeout(PASS, pass(&pool, &publisher)).await;
                let wait = match passed.unwrap_or(Err(Error::TimedOut)) {
                    Ok(full) => {
                        delays.reset();
                        if full {
                            continue;
                        }
                        POLL
                    }
                    Err(error) => {
                        let cause = error.source().map(ToString::to_string);
                        tracing::warn!(%error, cause, "outbox relay will try again");
                        delays.next().unwrap_or(POLL)
                    }
                };
                tokio::select! {
                    () = nudge.notified() => {}
                    () = tokio::time::sleep(wait) => {}
                    () = shutdown.begun() => {}
                }
            }
        });
        relay
    }

    /// Something was put and committed: send it now instead of at the next look.
    pub fn nudge(&self) {
        self.nudge.notify_one();
    }
}

/// One batch. Whether it was a full one, so that there may be more.
async fn pass<P: Send>(pool: &PgPool, publisher: &P) -> Result<bool, Error<P::Error>> {
    let taken = outbox::take(pool, BATCH, TAKEN_SECONDS).await?;
    if taken.is_empty() {
        return Ok(false);
    }
    let messages: Vec<Outgoing> =
        taken.iter().map(|taken| taken.message.clone().departing(None)).collect();
    let sent = match timeout(SEND, publisher.send(&messages)).await {
        Ok(sent) => sent.map_err(Error::NotSent),
        Err(_) => Err(Error::TimedOut),
    };
    let unroutable = match sent {
        Ok(unroutable) => unroutable,
        Err(error) => {
            let ids: Vec<i64> = taken.iter().map(|taken| taken.id).collect();
            outbox::release(pool, &ids).await?;
            return Err(error);
        }
    };
    // Unroutable ones stay taken for a while, so that they are not in the way of others.
    let stay = |(index, taken): (usize, &Taken)| {
        // An event that nobody listens to has been told to everybody who does.
        unroutable.contains(&index) && taken.message.exchange != EVENTS
    };
    let ids: Vec<i64> = taken
        .iter()
        .enumerate()
        .filter(|(index, taken)| !stay((*index, taken)))
        .map(|(_, taken)| taken.id)
        .collect();
    outbox::sent(pool, &ids).await?;
    match taken.len() - ids.len() {
        0 => Ok(taken.len() as i64 == BATCH),
        stuck => Err(Error::Unroutable(stuck)),
    }
}
