//! The transactions around calls to the outside: what is about to be asked is committed before,
//! and what came of it after. Many commands share one; each fares as if it had been alone.

mod set_wise;

use crate::{
    Fault, Tx,
    answered::{Answered, action_key, claims, own_key},
    barrier::{self, Seen, Verdict},
    batch::{HANDLER, take_turn, verdict},
    erased::guarded,
    perform::{Perform, Spoken},
    savepoint, series,
    shortcut::careful,
};
use contracts::CommandEnvelope;
use runtime::failpoint;
use sqlx::{Connection, PgConnection};
use std::{collections::HashMap, future::Future, sync::Arc};
use store::{
    Lanes,
    inbox::{self, Answer, Intent, Key, Row},
};

/// A command on its way through the phases, and which one is due.
#[derive(Clone)]
pub(crate) struct Errand {
    pub(crate) command: Arc<CommandEnvelope>,
    pub(crate) handler: Arc<dyn Perform>,
    pub(crate) due: Due,
}

#[derive(Clone)]
pub(crate) enum Due {
    Prepare,
    /// The intent, as JSON, and what the other side has answered.
    Record(String, Spoken),
}

impl Errand {
    fn verdict(&self, rows: &HashMap<Key, Row>) -> Verdict {
        let own = own_key(&self.command);
        match self.due {
            Due::Prepare => verdict(&self.command, &own, rows),
            Due::Record(..) => barrier::record(rows.get(&own).map(Seen::from)),
        }
    }
}

/// Where a transaction has led.
pub(crate) enum Led {
    Answered(Answered),
    /// The intent, as JSON, is committed: now call.
    Call(String),
}

/// The due phase of each errand, in one transaction; each step of a saga occurs at most once. One
/// result per errand; or one fault, when the transaction as a whole is lost and nothing of it is
/// there.
pub(crate) async fn handle(
    lanes: &Lanes,
    errands: Vec<&Errand>,
) -> Result<Vec<Result<Led, Fault>>, Fault> {
    series::batch("calls", errands.len());
    // Nearly always everything is new and goes well: then there is nothing to go back to, and one
    // write for each inbox row.
    match transact(lanes, &errands, false).await? {
        Some(results) => Ok(results),
        None => transact(lanes, &errands, true)
            .await?
            .ok_or_else(|| Fault::permanent("the careful way had no savepoint to go back to")),
    }
}

/// `None` when it has to go the careful way, and nothing of it is there.
async fn transact(
    lanes: &Lanes,
    errands: &[&Errand],
    careful: bool,
) -> Result<Option<Vec<Result<Led, Fault>>>, Fault> {
    let mut lane = lanes.take().await?;
    let mut transaction = lane.begin().await?;
    if errands.len() > 1 {
        take_turn(&mut transaction).await?;
    }
    let mut phase = Phase { connection: &mut transaction, careful };
    let Some(results) = phase.run(errands).await? else { return Ok(None) };
    for Errand { command, due, .. } in errands {
        if matches!(due, Due::Prepare) {
            failpoint::hit_for("worker.before-commit", &command.kind, command.saga).await;
        }
    }
    transaction.commit().await?;
    lane.keep();
    Ok(Some(results))
}

/// What an errand did within the transaction; the inbox is told at its end.
enum Did {
    Led(Led),
    /// As the inbox knows: answered before, or too late, or to be called with what it was prepared with.
    Known(Led),
    Faulted(Fault),
}

struct Phase<'c> {
    connection: &'c mut PgConnection,
    /// With rows claimed before a handler is called, and a savepoint for each. Otherwise whatever
    /// is not new, or does not go well, ends the transaction.
    careful: bool,
}

impl Phase<'_> {
    async fn run(&mut self, errands: &[&Errand]) -> Result<Option<Vec<Result<Led, Fault>>>, Fault> {
        let rows = match self.careful {
            true => self.claimed(errands).await?,
            false => self.present(errands).await?,
        };
        let verdicts: Vec<_> = errands.iter().map(|errand| errand.verdict(&rows)).collect();
        let mut at_one_go = HashMap::new();
        if self.careful {
            savepoint::open(self.connection).await?;
        } else {
            let Some(did) = self.at_one_go(errands, &verdicts).await? else { return Ok(None) };
            at_one_go = did;
        }
        let mut results = Vec::with_capacity(errands.len());
        let (mut answers, mut intents, mut faulted) = (Vec::new(), Vec::new(), Vec::new());
        for (place, errand) in errands.iter().enumerate() {
            let own = own_key(&errand.command);
            let did = match at_one_go.remove(&place) {
                Some(led) => Some(Did::Led(led)),
                None => self.step(errand, verdicts[place], rows.get(&own)).await?,
            };
            let Some(did) = did else { return Ok(None) };
            results.push(match did {
                Did::Led(Led::Answered(answered)) => {
                    answers.push(answered.stored(own));
                    Ok(Led::Answered(answered))
                }
                Did::Led(Led::Call(json)) => {
                    intents.push(Intent { key: own, json: json.clone() });
                    Ok(Led::Call(json))
                }
                Did::Known(led) => Ok(led),
                Did::Faulted(fault) => {
                    // Only what was claimed here; an intent that stood before goes on standing.
                    if matches!(errand.due, Due::Prepare) && !rows.contains_key(&own) {
                        faulted.push(own);
                    }
                    Err(fault)
                }
            });
        }
        let stored = self.store(&answers, &intents, &faulted).await?;
        Ok(stored.then_some(results))
    }

    /// The rows that are there, locked.
    async fn present(&mut self, errands: &[&Errand]) -> Result<HashMap<Key, Row>, Fault> {
        let keys = errands.iter().flat_map(|Errand { command, due, .. }| match due {
            Due::Prepare => claims(command).into_iter().map(|claim| claim.key).collect(),
            Due::Record(..) => vec![own_key(command)],
        });
        Ok(inbox::lock(self.connection, &keys.collect::<Vec<_>>()).await?)
    }

    /// Claims what is free for those that prepare; the rows that were there before, locked.
    /// A compensation that waits here for its action's row waits for a result being recorded.
    async fn claimed(&mut self, errands: &[&Errand]) -> Result<HashMap<Key, Row>, Fault> {
        let (mut wanted, mut present) = (Vec::new(), Vec::new());
        for Errand { command, due, .. } in errands {
            match due {
                Due::Prepare => wanted.extend(claims(command)),
                Due::Record(..) => present.push(own_key(command)),
            }
        }
        let mut taken = 0;
        if !wanted.is_empty() {
            let fresh = inbox::claim(self.connection, &wanted).await?;
            let before = present.len();
            present.extend(wanted.into_iter().map(|it| it.key).filter(|it| !fresh.contains(it)));
            taken = present.len() - before;
        }
        if present.is_empty() {
            return Ok(HashMap::new());
        }
        let rows = inbox::lock(self.connection, &present).await?;
        match present.iter().rev().take(taken).all(|key| rows.contains_key(key)) {
            true => Ok(rows),
            // Deleted since it was met, as by a clean-up: begin again.
            false => Err(sqlx::Error::RowNotFound.into()),
        }
    }

    async fn step(
        &mut self,
        errand: &Errand,
        verdict: Verdict,
        row: Option<&Row>,
    ) -> Result<Option<Did>, Fault> {
        Ok(Some(match (verdict, &errand.due, row) {
            (Verdict::Replay, _, Some(row)) => Did::Known(Led::Answered(Answered::again(row))),
            (Verdict::Resume, Due::Prepare, Some(Row { intent: Some(intent), .. })) => {
                Did::Known(Led::Call(intent.clone()))
            }
            // These end an action that has not come or has not been answered: for what is claimed.
            (Verdict::NothingToUndo | Verdict::Settle, Due::Prepare, _) if !self.careful => {
                return Ok(None);
            }
            (Verdict::NothingToUndo, Due::Prepare, _) => {
                Did::Led(Led::Answered(Answered::nothing_to_undo()))
            }
            (Verdict::Settle, Due::Prepare, _) => {
                inbox::abandon(self.connection, &action_key(&errand.command)).await?;
                return self.prepare(errand).await;
            }
            (Verdict::Run | Verdict::Resume | Verdict::Replay, Due::Prepare, _) => {
                return self.prepare(errand).await;
            }
            (Verdict::Run, Due::Record(intent, spoken), _) => {
                return self.record(errand, intent, spoken).await;
            }
            _ => Did::Known(Led::Answered(Answered::too_late())),
        }))
    }

    async fn prepare(&mut self, errand: &Errand) -> Result<Option<Did>, Fault> {
        let command = &errand.command;
        let mut tx = Tx::new(self.connection, command.saga, command.traceparent.clone());
        let prepared = in_time(errand.handler.prepare(&mut tx, command)).await?;
        let untold = tx.into_events().is_empty();
        match prepared {
            Ok(_) if !untold => {
                let early = "an event was published in prepare: nothing is true yet";
                self.undo(Did::Faulted(Fault::permanent(early))).await
            }
            Ok(Ok(intent)) => self.keep(Did::Led(Led::Call(intent))).await,
            Ok(Err(refused)) => {
                self.undo(Did::Led(Led::Answered(Answered::new(refused, Vec::new())))).await
            }
            Err(fault) => self.undone(fault).await,
        }
    }

    async fn record(
        &mut self,
        errand: &Errand,
        intent: &str,
        spoken: &Spoken,
    ) -> Result<Option<Did>, Fault> {
        let command = &errand.command;
        let mut tx = Tx::new(self.connection, command.saga, command.traceparent.clone());
        let said = in_time(errand.handler.record(&mut tx, command, intent, spoken)).await?;
        let events = tx.into_events();
        match said {
            Ok(said) => self.keep(Did::Led(Led::Answered(Answered::new(said, events)))).await,
            Err(fault) => self.undone(fault).await,
        }
    }

    async fn keep(&mut self, did: Did) -> Result<Option<Did>, Fault> {
        if self.careful
            && let Err(error) = savepoint::keep(self.connection).await
        {
            return self.undone(error.into()).await;
        }
        Ok(Some(did))
    }

    async fn undone(&mut self, fault: Fault) -> Result<Option<Did>, Fault> {
        self.undo(Did::Faulted(careful(fault)?)).await
    }

    async fn undo(&mut self, did: Did) -> Result<Option<Did>, Fault> {
        if !self.careful {
            return Ok(None);
        }
        savepoint::undo(self.connection).await?;
        Ok(Some(did))
    }

    /// `false` when somebody else was there first.
    async fn store(
        &mut self,
        answers: &[Answer],
        intents: &[Intent],
        faulted: &[Key],
    ) -> Result<bool, Fault> {
        inbox::answer(self.connection, answers).await?;
        inbox::forget(self.connection, faulted).await?;
        if self.careful {
            inbox::intend(self.connection, intents).await?;
            return Ok(true);
        }
        Ok(inbox::add_intents(self.connection, intents).await? == intents.len())
    }
}

/// The outer fault is the loss of the whole transaction.
async fn in_time<T>(
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<Result<T, Fault>, Fault> {
    match tokio::time::timeout(HANDLER, guarded(work)).await {
        Ok(result) => Ok(result.and_then(|result| result)),
        // A statement may still be on its way: this connection is in no state to go on with.
        Err(_) => Err(Fault::transient("the handler took too long")),
    }
}
