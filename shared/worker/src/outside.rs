//! Effects outside the database: prepare, call, record; and the same again after a crash between
//! any two of them, under the same key.

use crate::{
    CallKey, Fault, NotDone, Outside, Tx,
    answered::{Answered, action_key, claims, own_key},
    barrier::{self, Seen, Verdict},
    database::{Database, Unfinished},
    erased::{As, Boxed, Said, guarded},
    savepoint,
};
use contracts::{Command, CommandEnvelope, Leg, Outcome};
use runtime::{
    failpoint::{self, Instead},
    resilience::{Backoff, Breaker, BreakerState, Broken},
};
use sqlx::{PgConnection, PgPool};
use std::{future::Future, time::Duration};
use store::inbox::{self, Key};

/// Calls in a row within the process, before a command goes to the delayed retry queues.
const CALLS: u32 = 3;
/// Transactions in a row that may be unlucky.
const TRIES: u32 = 5;
/// Below the server's limit on idle transactions.
const HANDLER: Duration = Duration::from_secs(8);

/// [`Outside`] for some command.
pub(crate) trait Perform: Send + Sync {
    fn perform<'a>(
        &'a self,
        database: &'a Database,
        command: &'a CommandEnvelope,
    ) -> Boxed<'a, Result<Result<Answered, Fault>, Unfinished>>;

    fn breaker(&self) -> &Breaker;
}

impl<S: Outside<C>, C: Command> Perform for As<S, C> {
    fn perform<'a>(
        &'a self,
        database: &'a Database,
        command: &'a CommandEnvelope,
    ) -> Boxed<'a, Result<Result<Answered, Fault>, Unfinished>> {
        Box::pin(perform::<S, C>(&self.service, database, command))
    }

    fn breaker(&self) -> &Breaker {
        self.service.breaker()
    }
}

/// Where the first transaction has led.
enum Opened {
    Answered(Answered),
    /// The intent, as JSON, is committed: now call.
    Call(String),
}

async fn perform<S: Outside<C>, C: Command>(
    service: &S,
    database: &Database,
    command: &CommandEnvelope,
) -> Result<Result<Answered, Fault>, Unfinished> {
    let pool = &database.pool;
    let intent = match database.work(TRIES, || open::<S, C>(service, pool, command)).await? {
        Ok(Opened::Call(intent)) => intent,
        Ok(Opened::Answered(answered)) => return Ok(Ok(answered)),
        Err(fault) => return Ok(Err(fault)),
    };
    let answer = match call::<S, C>(service, database, command, &intent).await? {
        Ok(answer) => answer,
        Err(fault) => return Ok(Err(fault)),
    };
    failpoint::hit_for("worker.after-call", &command.kind, command.saga).await;
    database.work(TRIES, || record::<S, C>(service, pool, command, &intent, &answer)).await
}

/// Commits the intent, unless the inbox already knows the answer.
async fn open<S: Outside<C>, C: Command>(
    service: &S,
    pool: &PgPool,
    command: &CommandEnvelope,
) -> Result<Opened, Fault> {
    let mut transaction = pool.begin().await?;
    let own = own_key(command);
    let fresh = inbox::claim(&mut transaction, &claims(command)).await?;
    // A compensation that waits here for the action's row waits for a result being recorded.
    let own_row = match fresh.contains(&own) {
        true => None,
        false => Some(existing(&mut transaction, &own).await?),
    };
    let seen = own_row.as_ref().map(Seen::from);
    let verdict = match command.leg {
        Leg::Action => barrier::action(seen),
        Leg::Compensation => {
            let action = action_key(command);
            let action = match fresh.contains(&action) {
                true => None,
                false => Some(Seen::from(&existing(&mut transaction, &action).await?)),
            };
            barrier::compensation(seen, action)
        }
    };
    let opened = match (verdict, own_row) {
        (Verdict::Replay, Some(row)) => Opened::Answered(Answered::again(&row)),
        (Verdict::Resume, Some(inbox::Row { intent: Some(intent), .. })) => Opened::Call(intent),
        (Verdict::Refuse, _) => Opened::Answered(Answered::too_late()),
        (Verdict::NothingToUndo, _) => {
            let answered = Answered::nothing_to_undo();
            inbox::answer(&mut transaction, &[answered.stored(own)]).await?;
            Opened::Answered(answered)
        }
        (Verdict::Settle, _) => {
            inbox::abandon(&mut transaction, &action_key(command)).await?;
            prepare::<S, C>(service, &mut transaction, command, own).await?
        }
        (Verdict::Run | Verdict::Resume | Verdict::Replay, _) => {
            prepare::<S, C>(service, &mut transaction, command, own).await?
        }
    };
    failpoint::hit_for("worker.before-commit", &command.kind, command.saga).await;
    transaction.commit().await?;
    Ok(opened)
}

async fn prepare<S: Outside<C>, C: Command>(
    service: &S,
    connection: &mut PgConnection,
    command: &CommandEnvelope,
    own: Key,
) -> Result<Opened, Fault> {
    let body = command.decode::<C>().map_err(Fault::unreadable)?;
    savepoint::open(connection).await?;
    let mut tx = Tx::new(connection, command.saga, command.traceparent.clone());
    let prepared = in_time(service.prepare(&mut tx, &body)).await?;
    if !tx.into_events().is_empty() {
        return Err(Fault::permanent("an event was published in prepare: nothing is true yet"));
    }
    match prepared {
        Ok(intent) => {
            let intent = serde_json::to_string(&intent)?;
            inbox::intend(connection, &own, &intent).await?;
            Ok(Opened::Call(intent))
        }
        Err(NotDone::Refused(refusal)) => {
            savepoint::undo(connection).await?;
            let body = serde_json::to_string(&refusal)?;
            let answered = Answered::new(Said { outcome: Outcome::Refused, body }, Vec::new());
            inbox::answer(connection, &[answered.stored(own)]).await?;
            Ok(Opened::Answered(answered))
        }
        Err(NotDone::Fault(fault)) => Err(fault),
    }
}

/// Asks the other side, a few times if need be. While its breaker is open the command waits, and
/// neither the wait nor being the probe costs it anything. A command that was the probe in vain
/// for some times is given back, so that it cannot keep the circuit open all by itself.
async fn call<S: Outside<C>, C: Command>(
    service: &S,
    database: &Database,
    command: &CommandEnvelope,
    intent: &str,
) -> Result<Result<S::Answer, Fault>, Unfinished> {
    let intent: S::Intent = match serde_json::from_str(intent) {
        Ok(intent) => intent,
        Err(error) => return Ok(Err(error.into())),
    };
    let handling = failpoint::hit_for("worker.handle", &command.kind, command.saga);
    if handling.await == Some(Instead::Fault) {
        return Ok(Err(Fault::permanent("a failpoint")));
    }
    let key = CallKey::of(command);
    let limit = service.time_limit();
    let breaker = service.breaker();
    let mut delays = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
    let (mut calls, mut probes) = (0, 0);
    loop {
        let probe = *breaker.state().borrow() != BreakerState::Closed;
        let asked = async { guarded(service.call(&intent, &key)).await? };
        let fault = match breaker.call(limit, Fault::is_transient, asked).await {
            Ok(answer) => return Ok(Ok(answer)),
            Err(Broken::Open) => {
                database.unless_stopped(breaker.admitted()).await?;
                continue;
            }
            Err(Broken::TimedOut) => {
                Fault::transient(format!("{} did not answer within {limit:?}", breaker.name()))
            }
            Err(Broken::Failed(fault)) => fault,
        };
        if !fault.is_transient() {
            return Ok(Err(fault));
        }
        match probe {
            true => probes += 1,
            false => calls += 1,
        }
        if calls == CALLS {
            return Ok(Err(fault));
        }
        if probes == CALLS {
            return Err(Unfinished);
        }
        tracing::debug!(
            saga.id = %command.saga, step.name = command.step, leg = %command.leg, calls, probes,
            error = fault.chain(), "call is made again"
        );
        database.unless_stopped(delays.wait()).await?;
    }
}

/// Commits what came of the call, unless it was compensated or recorded meanwhile.
async fn record<S: Outside<C>, C: Command>(
    service: &S,
    pool: &PgPool,
    command: &CommandEnvelope,
    intent: &str,
    answer: &S::Answer,
) -> Result<Answered, Fault> {
    let own = own_key(command);
    let mut transaction = pool.begin().await?;
    let row = inbox::lock(&mut transaction, &own).await?;
    match (barrier::record(row.as_ref().map(Seen::from)), &row) {
        (Verdict::Run, _) => {}
        (Verdict::Replay, Some(row)) => return Ok(Answered::again(row)),
        _ => return Ok(Answered::too_late()),
    }
    let body = command.decode::<C>().map_err(Fault::unreadable)?;
    let intent: S::Intent = serde_json::from_str(intent)?;
    let mut tx = Tx::new(&mut transaction, command.saga, command.traceparent.clone());
    let outcome = in_time(service.record(&mut tx, body, intent, answer.clone())).await?;
    let events = tx.into_events();
    let answered = Answered::new(Said::of(outcome)?, events);
    inbox::answer(&mut transaction, &[answered.stored(own)]).await?;
    transaction.commit().await?;
    Ok(answered)
}

async fn existing(connection: &mut PgConnection, key: &Key) -> Result<inbox::Row, Fault> {
    // Deleted since it was met, as by a clean-up: begin again.
    Ok(inbox::lock(connection, key).await?.ok_or(sqlx::Error::RowNotFound)?)
}

/// The transaction that the handler works in is dropped when it takes too long.
async fn in_time<T>(work: impl Future<Output = T>) -> Result<T, Fault> {
    match tokio::time::timeout(HANDLER, guarded(work)).await {
        Ok(result) => result,
        Err(_) => Err(Fault::transient("the handler took too long")),
    }
}
