//! [`Outside`] without its types: what the phases know is the name of a command, its bytes, and
//! that something was answered.

use crate::{
    CallKey, Called, Fault, ManyTx, NotDone, Outside, Replied, Tx,
    erased::{As, Boxed, Said},
};
use contracts::{Command, CommandEnvelope, Outcome};
use runtime::resilience::Breaker;
use std::{any::Any, sync::Arc, time::Duration};

/// [`Outside`] for some command.
pub(crate) trait Perform: Send + Sync {
    /// The intent as JSON, or a refusal.
    fn prepare<'a>(
        &'a self,
        tx: &'a mut Tx<'_>,
        command: &'a CommandEnvelope,
    ) -> Boxed<'a, Result<Result<String, Said>, Fault>>;

    fn call<'a>(&'a self, intent: &'a str, key: &'a CallKey) -> Boxed<'a, Result<Spoken, Fault>>;

    fn record<'a>(
        &'a self,
        tx: &'a mut Tx<'_>,
        command: &'a CommandEnvelope,
        intent: &'a str,
        spoken: &'a Spoken,
    ) -> Boxed<'a, Result<Said, Fault>>;

    /// As `prepare`, for many sagas at one go: intents in their order. `None` when each has to be
    /// prepared alone, and nothing is written.
    fn prepare_many<'a>(
        &'a self,
        tx: &'a mut ManyTx<'_>,
        commands: &'a [&'a CommandEnvelope],
    ) -> Boxed<'a, Result<Option<Vec<String>>, Fault>>;

    /// As `record`; otherwise as `prepare_many`.
    fn record_many<'a>(
        &'a self,
        tx: &'a mut ManyTx<'_>,
        answered: &'a [(&'a CommandEnvelope, &'a str, &'a Spoken)],
    ) -> Boxed<'a, Result<Option<Vec<Said>>, Fault>>;

    fn breaker(&self) -> &Breaker;

    fn time_limit(&self) -> Duration;
}

/// What the other side has answered: [`Outside::Answer`] of whoever called it.
pub(crate) type Spoken = Arc<dyn Any + Send + Sync>;

impl<S: Outside<C>, C: Command> Perform for As<S, C> {
    fn prepare<'a>(
        &'a self,
        tx: &'a mut Tx<'_>,
        command: &'a CommandEnvelope,
    ) -> Boxed<'a, Result<Result<String, Said>, Fault>> {
        Box::pin(async move {
            let body = command.decode::<C>().map_err(Fault::unreadable)?;
            match self.service.prepare(tx, &body).await {
                Ok(intent) => Ok(Ok(serde_json::to_string(&intent)?)),
                Err(NotDone::Refused(refusal)) => {
                    let body = serde_json::to_string(&refusal)?;
                    Ok(Err(Said { outcome: Outcome::Refused, body }))
                }
                Err(NotDone::Fault(fault)) => Err(fault),
            }
        })
    }

    fn call<'a>(&'a self, intent: &'a str, key: &'a CallKey) -> Boxed<'a, Result<Spoken, Fault>> {
        Box::pin(async move {
            let intent: S::Intent = serde_json::from_str(intent)?;
            Ok(Arc::new(self.service.call(&intent, key).await?) as Spoken)
        })
    }

    fn record<'a>(
        &'a self,
        tx: &'a mut Tx<'_>,
        command: &'a CommandEnvelope,
        intent: &'a str,
        spoken: &'a Spoken,
    ) -> Boxed<'a, Result<Said, Fault>> {
        Box::pin(async move {
            let Called { command, intent, answer, .. } = called::<S, C>(command, intent, spoken)?;
            Said::of(self.service.record(tx, command, intent, answer).await)
        })
    }

    fn prepare_many<'a>(
        &'a self,
        tx: &'a mut ManyTx<'_>,
        commands: &'a [&'a CommandEnvelope],
    ) -> Boxed<'a, Result<Option<Vec<String>>, Fault>> {
        Box::pin(async move {
            let decoded: Result<Vec<_>, _> =
                commands.iter().map(|it| Ok((it.saga, it.decode::<C>()?))).collect();
            let decoded = decoded.map_err(Fault::unreadable)?;
            let Some(intents) = self.service.prepare_many(tx, &decoded).await? else {
                return Ok(None);
            };
            complete(commands.len(), intents.len())?;
            let written: Result<_, serde_json::Error> =
                intents.iter().map(serde_json::to_string).collect();
            Ok(Some(written?))
        })
    }

    fn record_many<'a>(
        &'a self,
        tx: &'a mut ManyTx<'_>,
        answered: &'a [(&'a CommandEnvelope, &'a str, &'a Spoken)],
    ) -> Boxed<'a, Result<Option<Vec<Said>>, Fault>> {
        Box::pin(async move {
            let called: Result<Vec<_>, Fault> = answered
                .iter()
                .map(|(command, intent, spoken)| called::<S, C>(command, intent, spoken))
                .collect();
            let Some(recorded) = self.service.record_many(tx, &called?).await? else {
                return Ok(None);
            };
            complete(answered.len(), recorded.len())?;
            let said = |recorded: Replied<C>| Said::of(recorded.map_err(NotDone::Refused));
            recorded.into_iter().map(said).collect::<Result<_, _>>().map(Some)
        })
    }

    fn breaker(&self) -> &Breaker {
        self.service.breaker()
    }

    fn time_limit(&self) -> Duration {
        self.service.time_limit()
    }
}

/// A command with what it was prepared with and answered, each as its own type.
fn called<S: Outside<C>, C: Command>(
    command: &CommandEnvelope,
    intent: &str,
    spoken: &Spoken,
) -> Result<Called<C, S::Intent, S::Answer>, Fault> {
    let strange = || Fault::permanent("an answer to another kind of call");
    Ok(Called {
        saga: command.saga,
        command: command.decode().map_err(Fault::unreadable)?,
        intent: serde_json::from_str(intent)?,
        answer: spoken.downcast_ref::<S::Answer>().ok_or_else(strange)?.clone(),
    })
}

fn complete(asked: usize, got: usize) -> Result<(), Fault> {
    match asked == got {
        true => Ok(()),
        false => Err(Fault::permanent(format!("{got} results for {asked} commands"))),
    }
}
