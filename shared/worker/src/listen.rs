//! Events of other services, many in one transaction; each is taken in once.

use crate::{
    Fault, ManyTx, Tx,
    erased::{Ear, Ears},
    outcome::Nature,
    savepoint,
};
use contracts::EventEnvelope;
use messaging::Outgoing;
use sqlx::Connection;
use std::{collections::BTreeMap, time::Duration};
use store::{Lanes, outbox, seen};

/// Below the server's limit on idle transactions.
const HANDLER: Duration = Duration::from_secs(8);

/// An event and who takes it in.
#[derive(Clone, Copy)]
pub(crate) struct Item<'a> {
    pub(crate) event: &'a EventEnvelope,
    pub(crate) ear: &'a dyn Ear,
    /// For many of its kind at one go.
    pub(crate) many: Option<&'a dyn Ears>,
}

/// Whether an event was new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    New,
    Before,
}

/// Takes the events in, in one transaction. One result per event; or one fault, when the
/// transaction as a whole is lost and nothing of it is there.
pub(crate) async fn handle(
    lanes: &Lanes,
    items: Vec<Item<'_>>,
) -> Result<Vec<Result<Heard, Fault>>, Fault> {
    if let Some(heard) = at_one_go(lanes, &items).await? {
        return Ok(heard.into_iter().map(Ok).collect());
    }
    let mut lane = lanes.take().await?;
    let mut transaction = lane.begin().await?;
    let ids: Vec<&str> = items.iter().map(|item| item.event.id.as_str()).collect();
    let mut fresh = seen::claim(&mut transaction, &ids).await?;
    let mut results = Vec::with_capacity(items.len());
    let mut faulted = Vec::new();
    savepoint::open(&mut transaction).await?;
    for item in &items {
        let event = item.event;
        // The same event twice in one batch: the second is a duplicate of the first.
        if !fresh.remove(&event.id) {
            results.push(Ok(Heard::Before));
            continue;
        }
        let mut tx = Tx::new(&mut transaction, event.saga, event.traceparent.clone());
        let done = tokio::time::timeout(HANDLER, item.ear.on(&mut tx, event)).await;
        let events = tx.into_events();
        // A statement may still be on its way: this connection is in no state to go on with.
        let done = done.map_err(|_| Fault::transient("the handler took too long"))?;
        let done = match done {
            Ok(()) => tell(&mut transaction, &events).await,
            Err(fault) => Err(fault),
        };
        match done {
            Ok(()) => results.push(Ok(Heard::New)),
            Err(fault) if matches!(fault.nature(), Nature::Infrastructure | Nature::Retriable) => {
                return Err(fault);
            }
            Err(fault) => {
                savepoint::undo(&mut transaction).await?;
                faulted.push(event.id.as_str());
                results.push(Err(fault));
            }
        }
    }
    seen::forget(&mut transaction, &faulted).await?;
    transaction.commit().await?;
    lane.keep();
    Ok(results)
}

/// Takes the events in, those of each kind at one go. `None` when that cannot be, and then nothing
/// of it is there.
async fn at_one_go(lanes: &Lanes, items: &[Item<'_>]) -> Result<Option<Vec<Heard>>, Fault> {
    if items.len() < 2 || items.iter().any(|item| item.many.is_none()) {
        return Ok(None);
    }
    let mut lane = lanes.take().await?;
    let mut transaction = lane.begin().await?;
    let ids: Vec<&str> = items.iter().map(|item| item.event.id.as_str()).collect();
    let mut fresh = seen::claim(&mut transaction, &ids).await?;
    let mut heard = Vec::with_capacity(items.len());
    let mut kinds: BTreeMap<&str, (&dyn Ears, Vec<&EventEnvelope>)> = BTreeMap::new();
    for Item { event, many, .. } in items {
        let is_new = fresh.remove(&event.id);
        heard.push(if is_new { Heard::New } else { Heard::Before });
        if let (true, Some(many)) = (is_new, many) {
            kinds.entry(&event.kind).or_insert((*many, Vec::new())).1.push(event);
        }
    }
    for (many, events) in kinds.into_values() {
        let mut tx = ManyTx::new(&mut transaction);
        let done = tokio::time::timeout(HANDLER, many.on_many(&mut tx, &events)).await;
        let follow = tx.into_events();
        match done.map_err(|_| Fault::transient("the handler took too long"))? {
            // What follows carries the trace of what it follows from, which only one alone knows.
            Ok(true) if follow.is_empty() => {}
            Err(fault) if matches!(fault.nature(), Nature::Infrastructure | Nature::Retriable) => {
                return Err(fault);
            }
            Ok(_) | Err(_) => return Ok(None),
        }
    }
    transaction.commit().await?;
    lane.keep();
    Ok(Some(heard))
}

/// Events that follow from an event leave through the outbox: the one that caused them is not
/// told again once it is acknowledged.
async fn tell(connection: &mut sqlx::PgConnection, events: &[EventEnvelope]) -> Result<(), Fault> {
    let messages: Vec<_> = events.iter().map(Outgoing::event).collect();
    outbox::put(connection, &messages).await?;
    Ok(savepoint::keep(connection).await?)
}
