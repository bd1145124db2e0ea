//! From the broker's queues into the engine: a batch is stored, its commands are sent and
//! confirmed, and only then are its deliveries acknowledged.

use crate::{
    admission::Admission,
    engine::{Advanced, Engine, Occurrence, Verdict, is_lost, reach},
    sending::Sender,
    trail::Trail,
};
use contracts::participant_of;
use messaging::{
    Consumer, DeadReason, Delivery, Incoming, Outgoing, Poison,
    spans::{self, Transaction},
};
use runtime::{health::Part, resilience::Backoff, shutdown::Shutdown, trace};
use saga_core::Ignored;
use std::{sync::Arc, time::Duration};
use tokio::{sync::Semaphore, task::JoinSet};

/// Whose dead letters those of the orchestrator are.
const OWNER: &str = "orchestrator";

/// Every counter at nothing, as in [`crate::tally::begin`].
pub fn begin() {
    for why in [Ignored::Stale, Ignored::Over] {
        metrics::counter!("events_ignored_total", "why" => why.as_str()).increment(0);
    }
    for reason in DeadReason::ALL {
        metrics::counter!("dead_letters_total", "participant" => OWNER, "reason" => reason.as_str())
            .increment(0);
    }
}

/// What a queue's messages are.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Starts,
    Replies,
}

/// Everything that handling a batch needs.
#[derive(Clone)]
pub struct Intake {
    pub engine: Engine,
    pub sender: Sender,
    pub database: Part,
    pub shutdown: Shutdown,
    pub check_senders: bool,
    pub batch: usize,
    pub overlap: usize,
    /// Asked before starts are taken.
    pub admission: Admission,
}

impl Intake {
    /// Until shutdown begins; then finishes what it has begun.
    pub async fn run(self, consumer: Consumer, kind: Kind) {
        let places = Arc::new(Semaphore::new(self.overlap));
        let mut batches = JoinSet::new();
        loop {
            // Never closed, so there is always a permit to come.
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
            let most = match kind {
                Kind::Starts => self.admission.room(self.batch, &consumer).await,
                Kind::Replies => Some(self.batch),
            };
            let Some(most) = most else { break };
            let Some(batch) = consumer.next_batch(most).await else { break };
            let under_way = matches!(kind, Kind::Starts).then(|| self.admission.take(batch.len()));
            while batches.try_join_next().is_some() {}
            let intake = self.clone();
            batches.spawn(async move {
                intake.handle(batch, kind).await;
                drop((place, under_way));
            });
        }
        while batches.join_next().await.is_some() {}
        consumer.close().await;
    }

    async fn handle(&self, batch: Vec<Delivery>, kind: Kind) {
        let mut occurrences = Vec::with_capacity(batch.len());
        let mut sources = Vec::with_capacity(batch.len());
        let mut dead = Vec::new();
        let mut trail = Trail::begin();
        for delivery in &batch {
            let incoming = &delivery.incoming;
            match self.read(incoming, kind) {
                Ok(occurrence) if is_lost(&occurrence).await => {}
                Ok(mut occurrence) => {
                    trail.add(&mut occurrence, incoming);
                    occurrences.push(occurrence);
                    sources.push(incoming);
                }
                Err(poison) => {
                    let span = spans::process(incoming, None);
                    dead.push(self.bury(incoming, poison).departing(span.context()));
                }
            }
        }
        let Some((advanced, transaction)) = self.advance(&occurrences).await else {
            return; // stopping: the deliveries stay with the broker
        };
        trail.stored(&occurrences, &sources, &advanced, transaction);
        for (index, (occurrence, verdict)) in occurrences.iter().zip(&advanced.verdicts).enumerate()
        {
            tell(occurrence, verdict);
            if let Some(poison) = poison_of(verdict) {
                dead.push(self.bury(sources[index], poison).departing(trail.of(index)));
            }
        }
        let commands = trail.commands(&occurrences, &advanced.commands);
        if self.sender.send(commands).await.is_err()
            || self.sender.send_for_certain(&dead).await.is_err()
        {
            return;
        }
        reach("orchestrator.after-confirm", &occurrences).await;
        Delivery::ack_all(batch).await;
        drop(trail);
    }

    fn read(&self, incoming: &Incoming, kind: Kind) -> Result<Occurrence, Poison> {
        match kind {
            Kind::Starts => incoming.start().map(Occurrence::Start),
            Kind::Replies => {
                let reply = incoming.reply()?;
                let participant = participant_of(&reply.kind);
                if self.check_senders && reply.from.as_deref() != Some(participant) {
                    let from = reply.from.as_deref().unwrap_or("nobody");
                    let error = format!("{} answered by {from}", reply.kind);
                    return Err(Poison { reason: DeadReason::BadHeader, error });
                }
                Ok(match incoming.redelivered {
                    true => Occurrence::ReplyAgain(reply),
                    false => Occurrence::Reply(reply),
                })
            }
        }
    }

    fn bury(&self, incoming: &Incoming, poison: Poison) -> Outgoing {
        let Poison { reason, error } = poison;
        tracing::warn!(
            message.id = incoming.message_id(),
            saga.id = incoming.correlation_id(),
            queue = incoming.queue,
            reason = reason.as_str(),
            error,
            "dead letter"
        );
        metrics::counter!("dead_letters_total", "participant" => OWNER, "reason" => reason.as_str())
            .increment(1);
        Outgoing::dead_letter(incoming, OWNER, reason, &error, 1)
    }

    /// Stores the batch, however long the database is away; `None` when a stop begins before.
    async fn advance(&self, occurrences: &[Occurrence]) -> Option<(Advanced, Transaction)> {
        let mut transaction = Transaction::begin("orchestrator");
        if occurrences.is_empty() {
            return Some((Advanced::default(), transaction));
        }
        let mut delays = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        loop {
            match self.engine.advance(occurrences).await {
                Ok(advanced) => {
                    self.database.up();
                    return Some((advanced, transaction));
                }
                Err(error) => {
                    tracing::warn!(%error, "the journal does not answer: waiting for it");
                    self.database.down("the database does not answer");
                }
            }
            tokio::select! {
                () = delays.wait() => {}
                () = self.shutdown.begun() => return None,
            }
            transaction = Transaction::begin("orchestrator");
        }
    }
}

/// Verdicts that make a delivery a dead letter: no retry will help it.
fn poison_of(verdict: &Verdict) -> Option<Poison> {
    let (reason, error) = match verdict {
        Verdict::UnknownSaga => (DeadReason::Fault, "no such saga".to_owned()),
        Verdict::UnknownDefinition(why) => (DeadReason::UnknownType, why.clone()),
        Verdict::Misfit(why) => (DeadReason::NotJson, why.clone()),
        Verdict::Unstorable(why) => (DeadReason::Fault, why.clone()),
        Verdict::Started
        | Verdict::Moved
        | Verdict::AlreadyStarted
        | Verdict::Ignored(_)
        | Verdict::Unacceptable(_) => return None,
    };
    Some(Poison { reason, error })
}

/// What moved a saga tells itself, when it is committed.
fn tell(occurrence: &Occurrence, verdict: &Verdict) {
    let Verdict::Ignored(why) = verdict else { return };
    metrics::counter!("events_ignored_total", "why" => why.as_str()).increment(1);
    if let Occurrence::Reply(reply) | Occurrence::ReplyAgain(reply) = occurrence {
        tracing::debug!(
            saga.id = %reply.saga, trace_id = trace::id(reply.traceparent.as_deref()),
            saga.step = reply.step, saga.leg = reply.leg.as_str(), saga.attempt = reply.attempt,
            "{} of {} changes nothing: {}", reply.outcome, reply.step, why.as_str()
        );
    }
}
