//! Many commands in one transaction: claim their inbox rows, call the handlers, store the
//! answers, commit. Each command fares as if it had been alone.

use crate::{
    Fault, Tx,
    answered::{Answered, action_key, claims, own_key},
    barrier::{self, Seen, Verdict},
    erased::{InDatabase, SetWise},
    outcome::Nature,
    savepoint, shortcut,
};
use contracts::{CommandEnvelope, Leg, Outcome};
use runtime::failpoint;
use sqlx::{Connection, PgConnection};
use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};
use store::{
    Lanes,
    inbox::{self, Answer, Claim, Key, Row},
};

/// Handlers write to rows that other sagas write to as well (a product's stock), in the order in
/// which commands happen to come. Two such batches at once would meet in deadlocks, so they take
/// turns: one transaction of handlers at a time per database, among all instances.
pub(crate) const TURN: i64 = 0x5A6A_0001;

/// Below the server's limit on idle transactions.
pub(crate) const HANDLER: Duration = Duration::from_secs(8);

/// A command and its handler.
#[derive(Clone, Copy)]
pub(crate) struct Item<'a> {
    pub(crate) command: &'a CommandEnvelope,
    pub(crate) handler: &'a dyn InDatabase,
    /// For many of its kind at one go.
    pub(crate) many: Option<&'a dyn SetWise>,
}

/// Splits commands into runs in which each step of a saga occurs once, keeping the order of those
/// that concern the same step. Nearly always one run.
pub(crate) fn runs(commands: &[&CommandEnvelope]) -> Vec<Vec<usize>> {
    let mut runs: Vec<Vec<usize>> = Vec::new();
    let mut occurrences = HashMap::new();
    for (index, command) in commands.iter().enumerate() {
        let before = occurrences.entry((command.saga, command.step.as_str())).or_insert(0_usize);
        if *before == runs.len() {
            runs.push(Vec::new());
        }
        runs[*before].push(index);
        *before += 1;
    }
    runs
}

/// Handles a run in one transaction. One result per command; or one fault, when the transaction
/// as a whole is lost and nothing of it is there.
pub(crate) async fn handle(
    lanes: &Lanes,
    items: Vec<Item<'_>>,
) -> Result<Vec<Result<Answered, Fault>>, Fault> {
    if let Some(results) = shortcut::handle(lanes, &items).await? {
        return Ok(results);
    }
    let mut lane = lanes.take().await?;
    let mut transaction = lane.begin().await?;
    take_turn(&mut transaction).await?;
    let results = in_transaction(&mut transaction, &items).await?;
    for item in &items {
        let command = item.command;
        failpoint::hit_for("worker.before-commit", &command.kind, command.saga).await;
    }
    transaction.commit().await?;
    lane.keep();
    Ok(results)
}

pub(crate) async fn take_turn(connection: &mut PgConnection) -> Result<(), Fault> {
    let taken = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(TURN).execute(connection);
    taken.await.map(drop).map_err(Fault::no_turn)
}

async fn in_transaction(
    connection: &mut PgConnection,
    items: &[Item<'_>],
) -> Result<Vec<Result<Answered, Fault>>, Fault> {
    let claims: Vec<Claim> = items.iter().flat_map(|item| claims(item.command)).collect();
    let fresh = inbox::claim(connection, &claims).await?;
    let rows = taken(connection, claims, &fresh).await?;
    savepoint::open(connection).await?;

    let mut results = Vec::with_capacity(items.len());
    let mut answers: Vec<Answer> = Vec::new();
    let mut faulted: Vec<Key> = Vec::new();
    for item in items {
        let own = own_key(item.command);
        let result = match verdict(item.command, &own, &rows) {
            Verdict::Replay => Ok(rows.get(&own).map_or_else(Answered::too_late, Answered::again)),
            Verdict::Refuse => Ok(Answered::too_late()),
            Verdict::NothingToUndo => Ok(Answered::nothing_to_undo()),
            // An intent, where nothing is called outside, is a note that the action will come.
            Verdict::Run | Verdict::Resume => call(connection, *item).await?,
            Verdict::Settle => {
                inbox::abandon(connection, &action_key(item.command)).await?;
                call(connection, *item).await?
            }
        };
        match &result {
            Ok(answered) if !answered.duplicate => answers.push(answered.stored(own)),
            Err(_) if fresh.contains(&own) => faulted.push(own),
            Ok(_) | Err(_) => {}
        }
        results.push(result);
    }
    inbox::answer(connection, &answers).await?;
    inbox::forget(connection, &faulted).await?;
    Ok(results)
}

/// The rows that were there before, of those claimed.
async fn taken(
    connection: &mut PgConnection,
    claims: Vec<Claim>,
    fresh: &HashSet<Key>,
) -> Result<HashMap<Key, Row>, sqlx::Error> {
    let taken: Vec<Key> =
        claims.into_iter().map(|claim| claim.key).filter(|key| !fresh.contains(key)).collect();
    if taken.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = inbox::read(connection, &taken).await?;
    match taken.iter().all(|key| rows.contains_key(key)) {
        true => Ok(rows),
        // Deleted between the two statements, as by a clean-up: begin again.
        false => Err(sqlx::Error::RowNotFound),
    }
}

pub(crate) fn verdict(command: &CommandEnvelope, own: &Key, rows: &HashMap<Key, Row>) -> Verdict {
    let seen = |key: &Key| rows.get(key).map(Seen::from);
    match command.leg {
        Leg::Action => barrier::action(seen(own)),
        Leg::Compensation => barrier::compensation(seen(own), seen(&action_key(command))),
    }
}

/// Calls one handler over the savepoint. The outer error is the loss of the whole transaction.
async fn call(
    connection: &mut PgConnection,
    item: Item<'_>,
) -> Result<Result<Answered, Fault>, Fault> {
    let command = item.command;
    let mut tx = Tx::new(connection, command.saga, command.traceparent.clone());
    let said = tokio::time::timeout(HANDLER, item.handler.handle(&mut tx, command)).await;
    let events = tx.into_events();
    let said = match said {
        Ok(said) => said,
        // A statement may still be on its way: this connection is in no state to go on with.
        Err(_) => return Err(Fault::transient("the handler took too long")),
    };
    match said {
        Ok(said) if said.outcome == Outcome::Done => match savepoint::keep(connection).await {
            Ok(()) => Ok(Ok(Answered::new(said, events))),
            Err(error) => undone(connection, error.into()).await,
        },
        Ok(said) => {
            savepoint::undo(connection).await?;
            Ok(Ok(Answered::new(said, Vec::new())))
        }
        Err(fault) => undone(connection, fault).await,
    }
}

async fn undone(
    connection: &mut PgConnection,
    fault: Fault,
) -> Result<Result<Answered, Fault>, Fault> {
    if matches!(fault.nature(), Nature::Infrastructure | Nature::Retriable) {
        return Err(fault);
    }
    savepoint::undo(connection).await?;
    Ok(Err(fault))
}

impl From<&Row> for Seen {
    fn from(row: &Row) -> Self {
        Seen { kind: row.kind, outcome: row.outcome }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::SagaId;
    use time::OffsetDateTime;
    use uuid::Uuid;

    fn command(saga: u128, step: &str, leg: Leg) -> CommandEnvelope {
        CommandEnvelope {
            saga: SagaId(Uuid::from_u128(saga)),
            definition: "test".into(),
            step: step.into(),
            leg,
            attempt: 1,
            kind: "test.do".into(),
            deadline: OffsetDateTime::UNIX_EPOCH,
            traceparent: None,
            body: Vec::new(),
        }
    }

    #[test]
    fn commands_of_different_steps_share_a_run_and_those_of_one_step_keep_their_order() {
        let commands = [
            command(1, "a", Leg::Action),
            command(2, "a", Leg::Action),
            command(1, "a", Leg::Compensation),
            command(1, "b", Leg::Action),
            command(1, "a", Leg::Action),
        ];
        let commands: Vec<_> = commands.iter().collect();
        assert_eq!(runs(&commands), [vec![0, 1, 3], vec![2], vec![4]]);
    }
}
