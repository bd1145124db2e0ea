use crate::{
    Amqp, Error, Outgoing,
    headers::short,
    link::{Keeper, Lent, Link},
    outgoing::now_in_ms,
    pack::{Packing, Parcel},
};
use futures_util::future::join_all;
use lapin::{Channel, Confirmation, message::BasicReturnMessage, options::BasicPublishOptions};
use runtime::{health::Part, resilience::Backoff, sabotage::Safety, shutdown::Shutdown, trace};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinHandle,
    time::timeout,
};

/// For a whole send: waiting for a connection, publishing, and every confirm.
const SEND_LIMIT: Duration = Duration::from_secs(5);
/// Each send at work has a channel of its own.
const SENDS_AT_ONCE: usize = 32;

/// Sends messages, and knows that they have arrived. Clones share one connection.
#[derive(Clone)]
pub struct Publisher {
    shared: Arc<Shared>,
}

struct Shared {
    app: String,
    login: String,
    packing: Packing,
    lent: watch::Receiver<Lent>,
    room: Semaphore,
    closing: watch::Sender<bool>,
    keeper: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

/// A message that reached no queue. The others of the same send were not held up by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unroutable {
    /// Within the messages sent.
    pub index: usize,
    pub exchange: String,
    pub key: String,
}

/// Not every message is known to have arrived; some may have. Send all of them again.
#[derive(Debug, thiserror::Error)]
pub enum NotSent {
    #[error("not confirmed within {0:?}")]
    TimedOut(Duration),
    #[error("the broker refused {key}: its queue is full or has no leader")]
    Refused { key: String },
    #[error(transparent)]
    Broken(#[from] Error),
    #[error("the publisher is closed")]
    Closed,
}

/// Shutdown began before everything was confirmed.
#[derive(Debug, thiserror::Error)]
#[error("stopped before every message was confirmed")]
pub struct Stopped;

impl Publisher {
    /// Connects in the background and stays connected until it is closed or dropped: what is
    /// under way when shutdown begins can still be sent. `part` is up while it is connected.
    pub fn start(amqp: &Amqp, part: Part, shutdown: &Shutdown) -> Publisher {
        let (lender, lent) = watch::channel(None);
        let (closing, closed) = watch::channel(false);
        let keeper = Keeper {
            amqp: amqp.clone(),
            part,
            shutdown: shutdown.clone(),
            lent: lender,
            closing: closed,
        };
        let keeper = tokio::spawn(keeper.keep());
        let shared = Shared {
            app: amqp.app.clone(),
            login: amqp.login().to_owned(),
            packing: Packing::new(amqp.pack, amqp.login()),
            lent,
            room: Semaphore::new(SENDS_AT_ONCE),
            closing,
            keeper: tokio::sync::Mutex::new(Some(keeper)),
        };
        Publisher { shared: Arc::new(shared) }
    }

    /// Whether there is a connection that nobody has given up. One that is blocked or has just
    /// failed may still count.
    pub fn is_connected(&self) -> bool {
        self.shared.lent.borrow().as_ref().is_some_and(|link| !link.is_given_up())
    }

    /// Sends all of them, persistent and mandatory, without waiting in between. When it succeeds,
    /// every message is safe with the broker but those that are named as unroutable. At most 5 s.
    pub async fn send(&self, messages: &[Outgoing]) -> Result<Vec<Unroutable>, NotSent> {
        self.send_each(&messages.iter().collect::<Vec<_>>()).await
    }

    /// Sends again until every message is confirmed and has reached a queue. The exception are
    /// events, which may have no subscriber: those are sent once they are confirmed.
    ///
    /// Once shutdown has begun, one more failure ends it.
    pub async fn send_until_confirmed(
        &self,
        messages: &[Outgoing],
        shutdown: &Shutdown,
    ) -> Result<(), Stopped> {
        let mut delays = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));
        let mut left: Vec<&Outgoing> = messages.iter().collect();
        loop {
            match self.send_each(&left).await {
                Ok(unroutable) => {
                    left = unroutable
                        .iter()
                        .filter(|message| message.exchange != crate::EVENTS)
                        .filter_map(|message| left.get(message.index).copied())
                        .collect();
                    if left.is_empty() {
                        return Ok(());
                    }
                    tracing::warn!(
                        key = left[0].key,
                        messages = left.len(),
                        "no queue takes these messages; trying again"
                    );
                }
                Err(NotSent::Closed) => return Err(Stopped),
                Err(error) => tracing::warn!(%error, "not sent; trying again"),
            }
            if shutdown.is_begun() {
                return Err(Stopped);
            }
            tokio::select! {
                () = delays.wait() => {}
                () = shutdown.begun() => {}
            }
        }
    }

    /// Closes the connection in order. What is still being sent fails.
    pub async fn close(&self) {
        self.shared.closing.send_replace(true);
        if let Some(keeper) = self.shared.keeper.lock().await.take() {
            // Bounded by the limits of connecting and closing.
            let _ = keeper.await;
        }
    }

    async fn send_each(&self, messages: &[&Outgoing]) -> Result<Vec<Unroutable>, NotSent> {
        if messages.is_empty() {
            return Ok(Vec::new());
        }
        let began = Instant::now();
        let mut lent = None;
        let sent = timeout(SEND_LIMIT, self.try_send(messages, &mut lent)).await;
        let sent = sent.unwrap_or(Err(NotSent::TimedOut(SEND_LIMIT)));
        match &sent {
            Ok(unroutable) => {
                metrics::histogram!("publish_confirm_seconds").record(began.elapsed());
                count(messages, unroutable);
                tell(messages, unroutable);
            }
            Err(error) => {
                if let Some(link) = lent {
                    link.give_up(&error.to_string());
                }
            }
        }
        sent
    }

    /// Leaves the connection in `used` as soon as there is one, for whoever has to give it up.
    async fn try_send(
        &self,
        messages: &[&Outgoing],
        used: &mut Lent,
    ) -> Result<Vec<Unroutable>, NotSent> {
        let _room = self.shared.room.acquire().await.map_err(|_| NotSent::Closed)?;
        let link = self.link().await?;
        *used = Some(link.clone());
        let channel = link.channel().await?;
        let unroutable = self.publish(&channel, messages).await?;
        link.give_back(channel);
        Ok(unroutable)
    }

    /// As packs where a queue takes them.
    async fn publish(
        &self,
        channel: &Channel,
        messages: &[&Outgoing],
    ) -> Result<Vec<Unroutable>, NotSent> {
        let parcels = self.shared.packing.parcels(messages);
        let returned = self.publish_parcels(channel, &parcels).await?;
        let (packs, mut left): (Vec<_>, Vec<_>) =
            returned.into_iter().map(|place| &parcels[place]).partition(|parcel| parcel.is_pack());
        // Their queue takes none, or is not there at all.
        let mut singles = Vec::new();
        for pack in packs {
            self.shared.packing.refused(&messages[pack.members[0]].key);
            singles
                .extend(pack.members.iter().map(|&index| Parcel::single(index, messages[index])));
        }
        let returned = self.publish_parcels(channel, &singles).await?;
        left.extend(returned.into_iter().map(|place| &singles[place]));
        let mut indices: Vec<usize> = left.into_iter().map(|parcel| parcel.members[0]).collect();
        indices.sort_unstable();
        let unroutable = indices.into_iter().map(|index| Unroutable {
            index,
            exchange: messages[index].exchange.clone(),
            key: messages[index].key.clone(),
        });
        Ok(unroutable.collect())
    }

    async fn link(&self) -> Result<Arc<Link>, NotSent> {
        let mut lent = self.shared.lent.clone();
        let sound = |lent: &Lent| lent.as_ref().is_some_and(|link| !link.is_given_up());
        let link = lent.wait_for(sound).await.map_err(|_| NotSent::Closed)?;
        link.clone().ok_or(NotSent::Closed)
    }

    /// The places of those that reached no queue.
    async fn publish_parcels(
        &self,
        channel: &Channel,
        parcels: &[Parcel<'_>],
    ) -> Result<Vec<usize>, NotSent> {
        let now = now_in_ms();
        // Polled in order, so that they are published in order; none waits for another.
        let confirms = join_all(parcels.iter().map(|Parcel { message, .. }| async move {
            let confirm = channel.basic_publish(
                short(&message.exchange),
                short(&message.key),
                BasicPublishOptions { mandatory: true, ..Default::default() },
                &message.body,
                message.stamped(&self.shared.app, &self.shared.login, now),
            );
            let confirmed = confirm.await?;
            if Safety::Confirm.is_off() { Ok(Confirmation::Ack(None)) } else { confirmed.await }
        }))
        .await;

        let mut returned = Vec::new();
        for (confirm, parcel) in confirms.into_iter().zip(parcels) {
            match confirm
                .map_err(|source| Error::Broker { what: "publishing".to_owned(), source })?
            {
                Confirmation::Ack(None) => {}
                Confirmation::Ack(Some(message)) => returned.push(message),
                Confirmation::Nack(_) | Confirmation::NotRequested => {
                    return Err(NotSent::Refused { key: parcel.message.key.clone() });
                }
            }
        }
        blame(parcels, &returned)
    }
}

/// The places of those that came back. A returned copy hangs on whichever confirm came first, so
/// that only the copy itself tells which message it is.
fn blame(parcels: &[Parcel<'_>], returned: &[BasicReturnMessage]) -> Result<Vec<usize>, NotSent> {
    let mut places = Vec::with_capacity(returned.len());
    let mut blamed = vec![false; if returned.is_empty() { 0 } else { parcels.len() }];
    for copy in returned {
        let place = (0..parcels.len())
            .find(|&place| !blamed[place] && is_copy(copy, &parcels[place].message))
            .ok_or_else(|| Error::Lost("a message came back that was not sent".to_owned()))?;
        blamed[place] = true;
        places.push(place);
    }
    Ok(places)
}

fn is_copy(copy: &BasicReturnMessage, message: &Outgoing) -> bool {
    let id = copy.delivery.properties.message_id().as_ref();
    copy.delivery.routing_key == short(&message.key)
        && copy.delivery.exchange == short(&message.exchange)
        && id == message.properties.message_id.as_deref().map(short).as_ref()
        && copy.delivery.data == message.body
}

/// Ends the messages' spans.
fn tell(messages: &[&Outgoing], unroutable: &[Unroutable]) {
    if trace::is_on() {
        for (index, message) in messages.iter().enumerate() {
            message.departed(unroutable.iter().any(|lost| lost.index == index));
        }
    }
}

fn count(messages: &[&Outgoing], unroutable: &[Unroutable]) {
    let mut rest = messages;
    // Neighbours mostly share their key: one look-up of the counter for each run of them.
    while let Some(first) = rest.first() {
        let run = rest.iter().take_while(|message| message.key == first.key).count();
        let run_length = u64::try_from(run).unwrap_or(u64::MAX);
        metrics::counter!("messages_published_total", "key" => first.key.clone())
            .increment(run_length);
        rest = &rest[run..];
    }
    for message in unroutable {
        metrics::counter!("messages_unroutable_total", "key" => message.key.clone()).increment(1);
    }
}
