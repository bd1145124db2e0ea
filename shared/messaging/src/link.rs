//! The publishing connection: kept open by one task, lent out to whoever sends.

use crate::{
    Amqp, Error,
    connection::{close, confirming, open},
};
use futures_util::StreamExt;
use lapin::{Channel, Connection, Event};
use runtime::{health::Part, resilience::Backoff, shutdown::Shutdown};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::watch;

/// The connection as it is at the moment; `None` while there is none.
pub(crate) type Lent = Option<Arc<Link>>;

/// One connection with its channels. A channel is used by one send at a time: the broker tells
/// of an unroutable message without saying which publish it was, and lapin pins the news on any
/// confirm of the same channel. Shared, one send could take another's bad news for good news.
pub(crate) struct Link {
    connection: Connection,
    idle: Mutex<Vec<Channel>>,
    broken: watch::Sender<Option<String>>,
}

impl Link {
    pub(crate) async fn channel(&self) -> Result<Channel, Error> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match idle {
            Some(channel) if channel.status().connected() => Ok(channel),
            _ => confirming(&self.connection).await,
        }
    }

    /// Only a channel on which everything was confirmed may come back.
    pub(crate) fn give_back(&self, channel: Channel) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(channel);
    }

    pub(crate) fn is_given_up(&self) -> bool {
        self.broken.borrow().is_some()
    }

    /// Has the connection thrown away and another one opened.
    pub(crate) fn give_up(&self, reason: &str) {
        self.broken.send_if_modified(|broken| {
            let first = broken.is_none();
            broken.get_or_insert_with(|| reason.to_owned());
            first
        });
    }
}

pub(crate) struct Keeper {
    pub(crate) amqp: Amqp,
    pub(crate) part: Part,
    pub(crate) shutdown: Shutdown,
    pub(crate) lent: watch::Sender<Lent>,
    /// Set when the publisher is closed.
    pub(crate) closing: watch::Receiver<bool>,
}

impl Keeper {
    /// Runs until the publisher is closed or nobody holds it any more; or, once shutdown has
    /// begun, until the connection is lost, when one more attempt to replace it fails.
    pub(crate) async fn keep(mut self) {
        let mut delays = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        let reconnects = metrics::counter!("broker_reconnects_total", "connection" => "publisher");
        for turn in 0.. {
            match self.open(turn).await {
                Ok(link) => {
                    delays.reset();
                    let link = Arc::new(link);
                    self.lent.send_replace(Some(link.clone()));
                    self.part.up();
                    let ended = self.watch(&link).await;
                    self.lent.send_replace(None);
                    let Some(reason) = ended else {
                        close(&link.connection).await;
                        return;
                    };
                    self.report(&reason);
                    // Beside the new one: the old one may be deaf and take its time.
                    tokio::spawn(async move { close(&link.connection).await });
                }
                Err(error) => {
                    self.report(&error.to_string());
                    if self.shutdown.is_begun() {
                        return;
                    }
                }
            }
            reconnects.increment(1);
            tokio::select! {
                () = delays.wait() => {}
                () = self.left_alone() => return,
            }
        }
    }

    async fn open(&self, turn: usize) -> Result<Link, Error> {
        let connection = open(&self.amqp, turn, "publisher").await?;
        let first = confirming(&connection).await?;
        Ok(Link { connection, idle: Mutex::new(vec![first]), broken: watch::Sender::new(None) })
    }

    /// Why the link is to be replaced; `None` when it is no longer wanted.
    async fn watch(&mut self, link: &Link) -> Option<String> {
        let mut events = link.connection.events_listener();
        let mut broken = link.broken.subscribe();
        let part = self.part.clone();
        loop {
            tokio::select! {
                event = events.next() => match event {
                    // Backpressure, not failure: confirms come late until the broker has room.
                    Some(Event::ConnectionBlocked(reason)) => {
                        tracing::warn!(%reason, "the broker takes no messages");
                        part.down(format!("the broker takes no messages: {reason}"));
                    }
                    Some(Event::ConnectionUnblocked) => part.up(),
                    Some(Event::Error(error)) => return Some(error.to_string()),
                    Some(_) => {}
                    None => return Some("the connection has ended".to_owned()),
                },
                reason = broken.wait_for(Option::is_some) => {
                    return reason.ok().and_then(|reason| reason.clone());
                }
                () = self.left_alone() => return None,
            }
        }
    }

    async fn left_alone(&mut self) {
        tokio::select! {
            () = self.lent.closed() => {}
            _ = self.closing.wait_for(|closing| *closing) => {}
        }
    }

    fn report(&self, reason: &str) {
        tracing::warn!(reason, "publishing connection lost");
        self.part.down(reason);
    }
}
