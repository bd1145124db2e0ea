//! The events queue: as for commands, without answers.

use crate::{
    Fault, Settings,
    commands::hand_back,
    database::{Database, Unfinished},
    desk::{self, Desk},
    disposal,
    gates::Gates,
    listen::{self, Item},
    series,
};
use contracts::EventEnvelope;
use messaging::{
    Consumer, Delivery, Outgoing, Publisher,
    spans::{self, About, Transaction},
};
use runtime::{resilience::Backoff, shutdown::Shutdown, trace::Span};
use std::{sync::Arc, time::Duration};
use store::relay::Relay;
use tokio::task::JoinSet;

/// Tries of an event, in process: there are no delayed queues for events.
const TRIES: usize = 6;
/// Events that are being tried again at one time; more than that, and the queue waits.
const TROUBLED: usize = 32;
const DRAIN: Duration = Duration::from_secs(20);

pub(crate) struct Events {
    pub(crate) desk: Arc<Desk>,
    pub(crate) database: Database,
    pub(crate) publisher: Publisher,
    pub(crate) relay: Relay,
    pub(crate) shutdown: Shutdown,
    pub(crate) settings: Settings,
}

/// A delivery that could be read.
struct Told {
    delivery: Delivery,
    /// Its `traceparent` is that of the span.
    event: EventEnvelope,
    /// From its arrival until it is acknowledged.
    span: Span,
}

impl Events {
    /// Until a stop begins; then finishes what is under way.
    pub(crate) async fn run(self: Arc<Self>, consumer: Consumer) {
        let gates = Gates::new(self.database.breaker.clone(), Vec::new());
        let mut tasks = JoinSet::new();
        loop {
            while tasks.try_join_next().is_some() {}
            if tasks.len() >= TROUBLED {
                tasks.join_next().await;
            }
            let deliveries = tokio::select! {
                deliveries = consumer.next_batch(self.settings.batch) => deliveries,
                breaker = gates.shut() => {
                    tracing::warn!(breaker, "circuit open: taking no events");
                    consumer.pause().await;
                    if self.database.unless_stopped(gates.admitted()).await.is_ok() {
                        consumer.resume();
                    }
                    continue;
                }
            };
            let Some(deliveries) = deliveries else { break };
            for (told, fault) in self.together(deliveries).await {
                let this = Arc::clone(&self);
                tasks.spawn(async move { this.alone(told, fault).await });
            }
        }
        let drained = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            tracing::warn!("stopping with events under way: they stay with the broker");
        }
        tasks.shutdown().await;
        consumer.close().await;
    }

    /// Events in one transaction. Those that faulted are left.
    async fn together(&self, deliveries: Vec<Delivery>) -> Vec<(Told, Fault)> {
        series::batch("events", deliveries.len());
        let (mut told, mut letters, mut finished) = (Vec::new(), Vec::new(), Vec::new());
        for delivery in deliveries {
            let event = match delivery.incoming.event() {
                Ok(event) if self.desk.heard(&event).is_some() => Ok(event),
                Ok(event) => Err(disposal::unknown_type(&event.kind)),
                Err(poison) => Err(poison),
            };
            let mut span = spans::process(&delivery.incoming, None);
            match event {
                Ok(mut event) => {
                    event.traceparent = span.carry(event.traceparent);
                    told.push(Told { delivery, event, span });
                }
                Err(poison) => {
                    span.fail(poison.reason.as_str(), || poison.error.clone());
                    let letter = disposal::of_poison(self.desk.name, &delivery.incoming, &poison);
                    letters.push(letter.departing(span.context()));
                    finished.push(delivery);
                }
            }
        }
        let events: Vec<_> = told.iter().map(|told| &told.event).collect();
        let Ok(results) = self.hear(&events).await else {
            hand_back(finished.into_iter().chain(told.into_iter().map(|told| told.delivery))).await;
            return Vec::new();
        };
        let (mut left, mut ended) = (Vec::new(), Vec::new());
        for (told, result) in told.into_iter().zip(results) {
            match result {
                Ok(_) => {
                    finished.push(told.delivery);
                    ended.push(told.span);
                }
                Err(fault) => left.push((told, fault)),
            }
        }
        self.relay.nudge();
        self.finish(letters, finished).await;
        drop(ended);
        left
    }

    /// One event to its end.
    async fn alone(&self, told: Told, mut fault: Fault) {
        let Told { delivery, event, mut span } = told;
        let mut delays = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
        for _ in 1..TRIES {
            if !fault.is_transient() {
                break;
            }
            let again = async {
                self.database.unless_stopped(delays.wait()).await?;
                self.hear(&[&event]).await
            };
            match again.await {
                Err(Unfinished) => return hand_back([delivery]).await,
                Ok(mut results) => match results.pop() {
                    Some(Err(again)) => fault = again,
                    Some(Ok(_)) | None => {
                        self.relay.nudge();
                        return delivery.ack().await;
                    }
                },
            }
        }
        span.fail("fault", || fault.chain());
        let letter = disposal::of_event(self.desk.name, &delivery.incoming, &fault);
        self.finish(vec![letter.departing(span.context())], vec![delivery]).await;
    }

    async fn hear(
        &self,
        events: &[&EventEnvelope],
    ) -> Result<Vec<Result<listen::Heard, Fault>>, Unfinished> {
        let items: Vec<_> = events.iter().filter_map(|event| self.desk.heard(event)).collect();
        if items.is_empty() {
            return Ok(Vec::new());
        }
        let handle = |items| transaction(&self.database, items);
        desk::each(&self.database, items, handle).await
    }

    async fn finish(&self, letters: Vec<Outgoing>, deliveries: Vec<Delivery>) {
        match self.publisher.send_until_confirmed(&letters, &self.shutdown).await {
            Ok(()) => Delivery::ack_all(deliveries).await,
            Err(_) => hand_back(deliveries).await,
        }
    }
}

/// One transaction, and what it leaves in the traces.
async fn transaction(
    database: &Database,
    items: Vec<Item<'_>>,
) -> Result<Vec<Result<listen::Heard, Fault>>, Fault> {
    let transaction = Transaction::begin(database.name);
    let parts: Vec<_> = items.iter().map(|item| item.event).collect();
    let results = listen::handle(&database.lanes, items).await?;
    let own = |event: &EventEnvelope| spans::context(event.traceparent.as_deref());
    transaction.committed(parts.into_iter().map(|part| (own(part), About::from(part))));
    Ok(results)
}
