//! The short way through a run of commands: no savepoints, and one write for each inbox row. It
//! serves a run in which every command is still to be answered, and is answered done, which is nearly every run.
//! Anything else shows before the commit; then nothing is kept, and [`batch`](crate::batch) takes
//! the careful way.

use crate::{
    Fault, ManyTx, Tx,
    answered::{Answered, claims, own_key},
    barrier::Verdict,
    batch::{HANDLER, Item, TURN, verdict},
    erased::SetWise,
    outcome::Nature,
};
use contracts::{CommandEnvelope, Outcome};
use runtime::failpoint;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::collections::{BTreeMap, HashSet};
use store::{
    Lanes,
    inbox::{self, Answer, Key},
};

/// How a try ended.
enum Ended {
    /// Committed.
    Done(Vec<Answered>),
    /// Nothing of it is there.
    Undone(Why),
}

enum Why {
    /// The first command was not done. Nothing that was written before can have to do with it, so
    /// this is its answer.
    First(Result<Answered, Fault>),
    Other,
}

/// The answers; `None` when the run has to go the careful way and nothing of it is there.
pub(crate) async fn handle(
    lanes: &Lanes,
    items: &[Item<'_>],
) -> Result<Option<Vec<Result<Answered, Fault>>>, Fault> {
    let ended = match attempt(lanes, items, None).await? {
        Ended::Undone(Why::First(Ok(refused))) => attempt(lanes, items, Some(refused)).await?,
        ended => ended,
    };
    Ok(match ended {
        Ended::Done(answered) => Some(answered.into_iter().map(Ok).collect()),
        // A fault leaves no row.
        Ended::Undone(Why::First(Err(fault))) if items.len() == 1 => Some(vec![Err(fault)]),
        Ended::Undone(_) => None,
    })
}

/// `first` is the answer of the first command, when it is known.
async fn attempt(
    lanes: &Lanes,
    items: &[Item<'_>],
    first: Option<Answered>,
) -> Result<Ended, Fault> {
    let mut lane = lanes.take().await?;
    let ended = match transact(&mut lane, items, first).await {
        Ok(ended) => ended,
        Err(NoTurn(error)) => {
            lane.close();
            return Err(Fault::no_turn(error));
        }
    };
    if matches!(ended, Ok(Ended::Done(_))) {
        lane.keep();
    }
    ended
}

/// A transaction was begun, perhaps, and is still open.
struct NoTurn(sqlx::Error);

async fn transact(
    connection: &mut PgConnection,
    items: &[Item<'_>],
    first: Option<Answered>,
) -> Result<Result<Ended, Fault>, NoTurn> {
    // One round trip for both.
    let begin = AssertSqlSafe(format!("BEGIN; SELECT pg_advisory_xact_lock({TURN})"));
    let mut transaction = connection.begin_with(begin).await.map_err(NoTurn)?;
    let ended = in_transaction(&mut transaction, items, first).await;
    if !matches!(ended, Ok(Ended::Done(_))) {
        // Rolls back with whatever its connection does next.
        drop(transaction);
        return Ok(ended);
    }
    for Item { command, .. } in items {
        failpoint::hit_for("worker.before-commit", &command.kind, command.saga).await;
    }
    let committed = transaction.commit().await;
    Ok(committed.map_err(Fault::from).and(ended))
}

async fn in_transaction(
    connection: &mut PgConnection,
    items: &[Item<'_>],
    mut first: Option<Answered>,
) -> Result<Ended, Fault> {
    let other = Ok(Ended::Undone(Why::Other));
    let Some(noted) = noted(connection, items).await? else { return other };
    let mut answered: Vec<Option<Answered>> = vec![None; items.len()];
    if let Some(answer) = answered.first_mut() {
        *answer = first.take();
    }
    for (handler, places) in at_one_go(items, &answered) {
        let commands: Vec<_> = places.iter().map(|place| items[*place].command).collect();
        let Some(done) = call_many(connection, handler, &commands).await? else { return other };
        for (place, done) in places.into_iter().zip(done) {
            answered[place] = Some(done);
        }
    }
    for (place, item) in items.iter().enumerate() {
        if answered[place].is_some() {
            continue;
        }
        match call(connection, *item).await? {
            Ok(done) if done.outcome == Outcome::Done => answered[place] = Some(done),
            said if place == 0 => return Ok(Ended::Undone(Why::First(said))),
            _ => return other,
        }
    }
    let answered: Vec<Answered> = answered.into_iter().flatten().collect();
    let stored = |(item, done): (&Item<'_>, &Answered)| done.stored(own_key(item.command));
    let (noted, new): (Vec<Answer>, Vec<Answer>) =
        items.iter().zip(&answered).map(stored).partition(|answer| noted.contains(&answer.key));
    match store(connection, &new, &noted).await {
        Ok(true) => Ok(Ended::Done(answered)),
        Ok(false) => other,
        // A handler swallowed an error of the database, perhaps: the careful way finds it.
        Err(error) => careful(error.into()).map(|_| Ended::Undone(Why::Other)),
    }
}

/// The rows of commands that a note says will come. `None` unless every command is still to be
/// answered, and every compensation has something to undo; the turn is ours, so that it stays so.
async fn noted(
    connection: &mut PgConnection,
    items: &[Item<'_>],
) -> Result<Option<HashSet<Key>>, Fault> {
    let keys: Vec<_> =
        items.iter().flat_map(|item| claims(item.command)).map(|claim| claim.key).collect();
    let rows = inbox::read(connection, &keys).await?;
    let mut noted = HashSet::new();
    for Item { command, .. } in items {
        let own = own_key(command);
        match verdict(command, &own, &rows) {
            Verdict::Run => {}
            Verdict::Resume => {
                noted.insert(own);
            }
            _ => return Ok(None),
        }
    }
    Ok(Some(noted))
}

/// `false` when somebody else was there first.
async fn store(
    connection: &mut PgConnection,
    new: &[Answer],
    noted: &[Answer],
) -> sqlx::Result<bool> {
    inbox::answer(connection, noted).await?;
    Ok(inbox::add(connection, new).await? == new.len())
}

/// Calls one handler. The outer error is the loss of the whole transaction.
async fn call(
    connection: &mut PgConnection,
    item: Item<'_>,
) -> Result<Result<Answered, Fault>, Fault> {
    let command = item.command;
    let mut tx = Tx::new(connection, command.saga, command.traceparent.clone());
    let said = tokio::time::timeout(HANDLER, item.handler.handle(&mut tx, command)).await;
    let events = tx.into_events();
    match said {
        Ok(Ok(said)) => Ok(Ok(Answered::new(said, events))),
        Ok(Err(fault)) => careful(fault).map(Err),
        // A statement may still be on its way: this connection is in no state to go on with.
        Err(_) => Err(Fault::transient("the handler took too long")),
    }
}

/// The handlers for many of a kind, each with the places of its commands: those that are not
/// answered yet, of which there are two at least, and of different sagas.
fn at_one_go<'a>(
    items: &[Item<'a>],
    answered: &[Option<Answered>],
) -> Vec<(&'a dyn SetWise, Vec<usize>)> {
    let mut kinds: BTreeMap<&str, (&dyn SetWise, Vec<usize>)> = BTreeMap::new();
    let mut sagas = HashSet::new();
    for (place, item) in items.iter().enumerate() {
        let Item { command, many: Some(handler), .. } = item else { continue };
        if answered[place].is_none() && sagas.insert((command.kind.as_str(), command.saga)) {
            kinds.entry(&command.kind).or_insert((*handler, Vec::new())).1.push(place);
        }
    }
    kinds.into_values().filter(|(_, places)| places.len() > 1).collect()
}

/// `None` when each of them has to be handled alone.
async fn call_many(
    connection: &mut PgConnection,
    handler: &dyn SetWise,
    commands: &[&CommandEnvelope],
) -> Result<Option<Vec<Answered>>, Fault> {
    let mut tx = ManyTx::new(connection);
    let said = tokio::time::timeout(HANDLER, handler.handle_many(&mut tx, commands)).await;
    let events = tx.into_events();
    match said {
        Ok(Ok(said)) => Ok(said.map(|said| Answered::many(commands, said, events))),
        Ok(Err(fault)) => careful(fault).map(|_| None),
        Err(_) => Err(Fault::transient("the handler took too long")),
    }
}

/// What is somebody's fault goes on; what is nobody's is tried again from the beginning.
pub(crate) fn careful(fault: Fault) -> Result<Fault, Fault> {
    match fault.nature() {
        Nature::Infrastructure | Nature::Retriable => Err(fault),
        Nature::Transient | Nature::Permanent | Nature::Unreadable => Ok(fault),
    }
}
