//! What the author of a service writes: one method per command or event.

use crate::{Fault, ManyTx, NotDone, Outcome, Tx};
use contracts::{Command, Event, SagaId};
use runtime::resilience::Breaker;
use serde::{Serialize, de::DeserializeOwned};
use std::{future::Future, time::Duration};

/// Handles a command whose whole effect is in the service's own database.
pub trait Handle<C: Command>: Send + Sync + 'static {
    /// Called at most once per leg of a saga, as far as anyone can see: what it writes is kept
    /// only when it answers done. Must not reach outside the database; for that see [`Outside`].
    fn handle(&self, tx: &mut Tx<'_>, command: C) -> impl Future<Output = Outcome<C>> + Send;
}

/// Handles commands of one kind for many sagas at one go, for whoever can do so with fewer
/// statements than one or two for each; registered with [`Worker::set_wise`](crate::Worker).
pub trait HandleMany<C: Command>: Handle<C> {
    /// Answers all of them, in their order, as if one had come after the other; nothing may be
    /// written for one that is refused. Or none: whatever is written is undone with `None` and with
    /// a fault, and each is handled alone then. There are at least two, and of different sagas.
    fn handle_many(
        &self,
        tx: &mut ManyTx<'_>,
        commands: &[(SagaId, C)],
    ) -> impl Future<Output = Result<Option<Vec<Replied<C>>>, Fault>> + Send;
}

/// Takes in events of one kind, of many sagas, at one go; registered with
/// [`Worker::on_many`](crate::Worker).
pub trait ListenMany<E: Event>: Listen<E> {
    /// Either takes in all of them, of which there are two at least, and answers `true`, or none:
    /// whatever is written is undone with `false` and with a fault, and each is taken in alone then.
    fn on_many(
        &self,
        tx: &mut ManyTx<'_>,
        events: &[(SagaId, E)],
    ) -> impl Future<Output = Result<bool, Fault>> + Send;
}

/// Handles a command whose effect is outside the database: a gateway, a carrier, a mail server.
///
/// Three phases, so that no transaction is ever open while the other side thinks:
/// *prepare* commits what is about to be asked, *call* asks it under a key that stays the same
/// however often it is asked, *record* commits what came of it.
pub trait Outside<C: Command>: Send + Sync + 'static {
    /// All that the call needs; stored as JSON, so that an interrupted call can be made again.
    type Intent: Serialize + DeserializeOwned + Send + Sync + 'static;
    /// What the other side said, a business no included. Cloned when it has to be recorded again.
    type Answer: Clone + Send + Sync + 'static;

    /// Decides what to ask, in a transaction. Refusing here means that nothing is asked.
    fn prepare(
        &self,
        tx: &mut Tx<'_>,
        command: &C,
    ) -> impl Future<Output = Result<Self::Intent, NotDone<C::Refusal>>> + Send;

    /// Asks the other side; outside any transaction, within [`time_limit`](Self::time_limit), and
    /// through the breaker. Any number of times with the same key. A fault that is transient is
    /// tried again and counts for the breaker.
    fn call(
        &self,
        intent: &Self::Intent,
        key: &CallKey,
    ) -> impl Future<Output = Result<Self::Answer, Fault>> + Send;

    /// Writes down what came of it, a no of the other side included: what it writes is kept with
    /// either answer. Not called when the action has been compensated meanwhile.
    fn record(
        &self,
        tx: &mut Tx<'_>,
        command: C,
        intent: Self::Intent,
        answer: Self::Answer,
    ) -> impl Future<Output = Outcome<C>> + Send;

    /// [`prepare`](Self::prepare) for many sagas at one go, for whoever can do so with fewer
    /// statements than one for each: their intents, in the order of the commands. `None`, from
    /// whoever has not written anything yet, has each prepared alone; so has a fault, which undoes
    /// what was written.
    fn prepare_many(
        &self,
        _tx: &mut ManyTx<'_>,
        _commands: &[(SagaId, C)],
    ) -> impl Future<Output = Result<Option<Vec<Self::Intent>>, Fault>> + Send {
        async { Ok(None) }
    }

    /// [`record`](Self::record) for many sagas at one go: replies and refusals in their order.
    /// `None` and a fault as with [`prepare_many`](Self::prepare_many).
    fn record_many(
        &self,
        _tx: &mut ManyTx<'_>,
        _called: &[Called<C, Self::Intent, Self::Answer>],
    ) -> impl Future<Output = Result<Option<Vec<Replied<C>>>, Fault>> + Send {
        async { Ok(None) }
    }

    /// The breaker of the other side; commands that talk to the same one share it.
    fn breaker(&self) -> &Breaker;

    /// How long one call may take.
    fn time_limit(&self) -> Duration {
        Duration::from_secs(5)
    }
}

/// A command whose call has been answered.
#[derive(Debug)]
pub struct Called<C, I, A> {
    pub saga: SagaId,
    pub command: C,
    pub intent: I,
    pub answer: A,
}

/// What one of many commands is answered with: its reply or its refusal.
pub type Replied<C> = Result<<C as Command>::Reply, <C as Command>::Refusal>;

/// Under which keys the other side knows a request. Every attempt has the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallKey {
    pub saga: SagaId,
    /// The idempotency key of this leg: `<saga>/<step>/<leg>`.
    pub own: String,
    /// The key of the step's action. A compensation settles *this* key on the other side, even
    /// if the other side has never seen it: the action's request may still be on its way.
    pub action: String,
}

/// Takes in an event of another service. One told twice is taken in once.
pub trait Listen<E: Event>: Send + Sync + 'static {
    fn on(&self, tx: &mut Tx<'_>, event: E) -> impl Future<Output = Result<(), Fault>> + Send;
}
