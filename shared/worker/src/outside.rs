//! Effects outside the database: prepare, call, record; and the same again after a crash between
//! any two of them, under the same key.

use crate::{
    CallKey, Fault,
    answered::Answered,
    batch,
    database::{Database, Unfinished},
    desk,
    erased::guarded,
    perform::{Perform, Spoken},
    phases::{self, Due, Errand, Led},
    together::Together,
};
use contracts::CommandEnvelope;
use messaging::spans::{About, Transaction};
use runtime::{
    failpoint::{self, Instead},
    resilience::{Backoff, BreakerState, Broken},
    trace::{Kind, Span},
};
use std::{sync::Arc, time::Duration};

/// Calls in a row within the process, before a command goes to the delayed retry queues.
const CALLS: u32 = 3;

/// Phases that wait for a transaction.
pub(crate) type Errands = Together<Errand, Result<Result<Led, Fault>, Unfinished>>;

/// One command through its phases. The transactions are shared with whoever else needs one.
pub(crate) async fn perform(
    handler: &Arc<dyn Perform>,
    errands: &Errands,
    database: &Database,
    command: &CommandEnvelope,
) -> Result<Result<Answered, Fault>, Unfinished> {
    let errand =
        |due| Errand { command: Arc::new(command.clone()), handler: Arc::clone(handler), due };
    let intent = match transact(errands, database, errand(Due::Prepare)).await? {
        Ok(Led::Call(intent)) => intent,
        Ok(Led::Answered(answered)) => return Ok(Ok(answered)),
        Err(fault) => return Ok(Err(fault)),
    };
    let spoken = match call(handler.as_ref(), database, command, &intent).await? {
        Ok(spoken) => spoken,
        Err(fault) => return Ok(Err(fault)),
    };
    failpoint::hit_for("worker.after-call", &command.kind, command.saga).await;
    let recorded = transact(errands, database, errand(Due::Record(intent, spoken))).await?;
    Ok(recorded.and_then(|led| match led {
        Led::Answered(answered) => Ok(answered),
        Led::Call(_) => Err(Fault::permanent("what was recorded is to be called again")),
    }))
}

async fn transact(
    errands: &Errands,
    database: &Database,
    errand: Errand,
) -> Result<Result<Led, Fault>, Unfinished> {
    let led = errands.ask(errand, |waiting| handle_all(database, waiting)).await;
    led.unwrap_or(Err(Unfinished))
}

/// One result per errand.
async fn handle_all(
    database: &Database,
    errands: Vec<Errand>,
) -> Vec<Result<Result<Led, Fault>, Unfinished>> {
    let commands: Vec<_> = errands.iter().map(|errand| errand.command.as_ref()).collect();
    let mut results: Vec<_> = errands.iter().map(|_| Err(Unfinished)).collect();
    for run in batch::runs(&commands) {
        let together: Vec<_> = run.iter().map(|index| &errands[*index]).collect();
        let handle = |errands| transaction(database, errands);
        let Ok(led) = desk::each(database, together, handle).await else { break };
        for (index, led) in run.into_iter().zip(led) {
            results[index] = Ok(led);
        }
    }
    results
}

/// One of the transactions, and what it leaves in the traces.
async fn transaction(
    database: &Database,
    errands: Vec<&Errand>,
) -> Result<Vec<Result<Led, Fault>>, Fault> {
    let transaction = Transaction::begin(database.name);
    let results = phases::handle(&database.lanes, errands.clone()).await?;
    for (phase, prepares) in [("prepare", true), ("record", false)] {
        let of_phase = errands.iter().filter(|it| matches!(it.due, Due::Prepare) == prepares);
        let parts = of_phase.map(|it| (desk::own(&it.command), About::from(it.command.as_ref())));
        transaction.phase(phase).committed(parts);
    }
    Ok(results)
}

/// Asks the other side, a few times if need be. While its breaker is open the command waits, and
/// neither the wait nor being the probe costs it anything. A command that was the probe in vain
/// for some times is given back, so that it cannot keep the circuit open all by itself.
async fn call(
    handler: &dyn Perform,
    database: &Database,
    command: &CommandEnvelope,
    intent: &str,
) -> Result<Result<Spoken, Fault>, Unfinished> {
    let handling = failpoint::hit_for("worker.handle", &command.kind, command.saga);
    if handling.await == Some(Instead::Fault) {
        return Ok(Err(Fault::permanent("a failpoint")));
    }
    let key = CallKey::of(command);
    let limit = handler.time_limit();
    let breaker = handler.breaker();
    let mut delays = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
    let (mut calls, mut probes) = (0, 0);
    loop {
        let probe = *breaker.state().borrow() != BreakerState::Closed;
        let mut span = Span::default();
        // Made once it is let through, so that waiting for an open circuit is no call.
        let asked = async {
            span = Span::below(Kind::Client, desk::own(command), || {
                format!("call {}", breaker.name())
            });
            span.set("peer.service", breaker.name());
            About::from(command).set(&mut span);
            let asked = span.surround(guarded(handler.call(intent, &key))).await?;
            if let Err(fault) = &asked {
                span.fail("fault", || fault.chain());
            }
            asked
        };
        let called = breaker.call(limit, Fault::is_transient, asked).await;
        if let Err(Broken::TimedOut) = &called {
            span.fail("timeout", || format!("no answer within {limit:?}"));
        }
        drop(span);
        let fault = match called {
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
            saga.id = %command.saga, saga.step = command.step, saga.leg = %command.leg, calls, probes,
            error = fault.chain(), "call is made again"
        );
        database.unless_stopped(delays.wait()).await?;
    }
}
