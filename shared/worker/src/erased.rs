//! Handlers without their types: what the queue knows is the name of a command and its bytes.

use crate::{
    Fault, Handle, HandleMany, Listen, ListenMany, ManyTx, NotDone, Replied, Tx, handle::CallKey,
};
use contracts::{Command, CommandEnvelope, Event, EventEnvelope, Leg, Outcome};
use futures_util::FutureExt;
use runtime::failpoint::{self, Instead};
use serde::Serialize;
use std::{
    any::Any, future::Future, marker::PhantomData, panic::AssertUnwindSafe, pin::Pin, sync::Arc,
};

pub(crate) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A handler's answer: done or refused, with the body as JSON.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) outcome: Outcome,
    pub(crate) body: String,
}

impl Said {
    /// An outcome of a handler, with its body written out.
    pub(crate) fn of<T: Serialize, R: Serialize>(
        outcome: Result<T, NotDone<R>>,
    ) -> Result<Self, Fault> {
        let (outcome, body) = match outcome {
            Ok(reply) => (Outcome::Done, serde_json::to_string(&reply)?),
            Err(NotDone::Refused(refusal)) => (Outcome::Refused, serde_json::to_string(&refusal)?),
            Err(NotDone::Fault(fault)) => return Err(fault),
        };
        Ok(Said { outcome, body })
    }
}

/// [`Handle`] for some command.
pub(crate) trait InDatabase: Send + Sync {
    fn handle<'a>(
        &'a self,
        tx: &'a mut Tx<'_>,
        command: &'a CommandEnvelope,
    ) -> Boxed<'a, Result<Said, Fault>>;
}

/// [`HandleMany`] for some command.
pub(crate) trait SetWise: Send + Sync {
    /// In the order of the commands; `None` when each has to be handled alone.
    fn handle_many<'a>(
        &'a self,
        tx: &'a mut ManyTx<'_>,
        commands: &'a [&'a CommandEnvelope],
    ) -> Boxed<'a, Result<Option<Vec<Said>>, Fault>>;
}

/// [`Listen`] for some event.
pub(crate) trait Ear: Send + Sync {
    fn on<'a>(
        &'a self,
        tx: &'a mut Tx<'_>,
        event: &'a EventEnvelope,
    ) -> Boxed<'a, Result<(), Fault>>;
}

/// [`ListenMany`] for some event.
pub(crate) trait Ears: Send + Sync {
    /// `false` when each has to be taken in alone.
    fn on_many<'a>(
        &'a self,
        tx: &'a mut ManyTx<'_>,
        events: &'a [&'a EventEnvelope],
    ) -> Boxed<'a, Result<bool, Fault>>;
}

/// A service, seen as the handler of one message type.
pub(crate) struct As<S, M> {
    pub(crate) service: Arc<S>,
    message: PhantomData<fn() -> M>,
}

impl<S, M> As<S, M> {
    pub(crate) fn new(service: &Arc<S>) -> Self {
        As { service: Arc::clone(service), message: PhantomData }
    }
}

impl<S: Handle<C>, C: Command> InDatabase for As<S, C> {
    fn handle<'a>(
        &'a self,
        tx: &'a mut Tx<'_>,
        command: &'a CommandEnvelope,
    ) -> Boxed<'a, Result<Said, Fault>> {
        Box::pin(async move {
            match failpoint::hit_for("worker.handle", &command.kind, command.saga).await {
                Some(Instead::Refuse) => {
                    return Ok(Said { outcome: Outcome::Refused, body: "null".to_owned() });
                }
                Some(Instead::Fault) => return Err(Fault::permanent("a failpoint")),
                Some(Instead::Lose) | None => {}
            }
            let command = command.decode::<C>().map_err(Fault::unreadable)?;
            Said::of(guarded(self.service.handle(tx, command)).await?)
        })
    }
}

impl<S: HandleMany<C>, C: Command> SetWise for As<S, C> {
    fn handle_many<'a>(
        &'a self,
        tx: &'a mut ManyTx<'_>,
        commands: &'a [&'a CommandEnvelope],
    ) -> Boxed<'a, Result<Option<Vec<Said>>, Fault>> {
        Box::pin(async move {
            let mut decoded = Vec::with_capacity(commands.len());
            for command in commands {
                if failpoint::hit_for("worker.handle", &command.kind, command.saga).await.is_some()
                {
                    return Ok(None);
                }
                // One that cannot be read is told of when it is alone.
                let Ok(body) = command.decode::<C>() else { return Ok(None) };
                decoded.push((command.saga, body));
            }
            let Some(replies) = guarded(self.service.handle_many(tx, &decoded)).await?? else {
                return Ok(None);
            };
            if replies.len() != commands.len() {
                let (asked, got) = (commands.len(), replies.len());
                return Err(Fault::permanent(format!("{got} replies to {asked} commands")));
            }
            let said = |reply: Replied<C>| Said::of(reply.map_err(NotDone::Refused));
            replies.into_iter().map(said).collect::<Result<_, _>>().map(Some)
        })
    }
}

impl<S: Listen<E>, E: Event> Ear for As<S, E> {
    fn on<'a>(
        &'a self,
        tx: &'a mut Tx<'_>,
        event: &'a EventEnvelope,
    ) -> Boxed<'a, Result<(), Fault>> {
        Box::pin(async move {
            let event = event.decode::<E>().map_err(Fault::unreadable)?;
            guarded(self.service.on(tx, event)).await?
        })
    }
}

impl<S: ListenMany<E>, E: Event> Ears for As<S, E> {
    fn on_many<'a>(
        &'a self,
        tx: &'a mut ManyTx<'_>,
        events: &'a [&'a EventEnvelope],
    ) -> Boxed<'a, Result<bool, Fault>> {
        Box::pin(async move {
            let decode = |event: &&EventEnvelope| Ok((event.saga, event.decode::<E>()?));
            let decoded: Result<Vec<_>, serde_json::Error> = events.iter().map(decode).collect();
            // One that cannot be read is told of when it is alone.
            let Ok(decoded) = decoded else { return Ok(false) };
            guarded(self.service.on_many(tx, &decoded)).await?
        })
    }
}

/// A handler that panics faults, and takes nothing else down with it.
pub(crate) async fn guarded<T>(work: impl Future<Output = T>) -> Result<T, Fault> {
    AssertUnwindSafe(work)
        .catch_unwind()
        .await
        .map_err(|panic| Fault::permanent(format!("the handler panicked: {}", panic_text(&panic))))
}

fn panic_text(panic: &Box<dyn Any + Send>) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "no message",
    }
}

impl CallKey {
    pub(crate) fn of(command: &CommandEnvelope) -> Self {
        CallKey {
            saga: command.saga,
            own: command.saga.key(&command.step, command.leg),
            action: command.saga.key(&command.step, Leg::Action),
        }
    }
}
