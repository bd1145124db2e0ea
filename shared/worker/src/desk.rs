//! Who handles what: every command and event type that a service has registered.

use crate::{
    Answered, Fault, Handle, HandleMany, Listen, ListenMany, Outside, batch,
    database::{Database, Unfinished},
    erased::{As, Ear, Ears, InDatabase, SetWise},
    listen,
    outside::{self, Errands},
    perform::Perform,
};
use contracts::{Command, CommandEnvelope, Event, EventEnvelope, participant_of};
use messaging::spans::{self, About, Transaction};
use runtime::{resilience::Breaker, trace::Context};
use std::{collections::BTreeMap, future::Future, sync::Arc};

/// Transactions of a whole batch that may be unlucky before its commands are handled one by one.
const TRIES_TOGETHER: u32 = 2;
/// The same for one command alone, before it counts as a fault.
const TRIES_ALONE: u32 = 5;

pub(crate) enum Entry {
    Database(Box<dyn InDatabase>),
    Outside(Arc<dyn Perform>),
}

pub(crate) struct Desk {
    pub(crate) name: &'static str,
    entries: BTreeMap<&'static str, Entry>,
    ears: BTreeMap<&'static str, Box<dyn Ear>>,
    many: BTreeMap<&'static str, Box<dyn SetWise>>,
    ears_for_many: BTreeMap<&'static str, Box<dyn Ears>>,
    errands: Errands,
    /// What is wrong with the registrations; told at the start.
    pub(crate) mistakes: Vec<String>,
}

impl Desk {
    pub(crate) fn new(name: &'static str) -> Self {
        Desk {
            name,
            entries: BTreeMap::new(),
            ears: BTreeMap::new(),
            many: BTreeMap::new(),
            ears_for_many: BTreeMap::new(),
            errands: Errands::default(),
            mistakes: Vec::new(),
        }
    }

    pub(crate) fn handle<S: Handle<C>, C: Command>(&mut self, service: &Arc<S>) {
        self.enter(C::TYPE, Entry::Database(Box::new(As::<S, C>::new(service))));
    }

    pub(crate) fn handle_many<S: HandleMany<C>, C: Command>(&mut self, service: &Arc<S>) {
        self.many.insert(C::TYPE, Box::new(As::<S, C>::new(service)));
    }

    pub(crate) fn outside<S: Outside<C>, C: Command>(&mut self, service: &Arc<S>) {
        self.enter(C::TYPE, Entry::Outside(Arc::new(As::<S, C>::new(service))));
    }

    pub(crate) fn listen<S: Listen<E>, E: Event>(&mut self, service: &Arc<S>) {
        if self.ears.insert(E::TYPE, Box::new(As::<S, E>::new(service))).is_some() {
            self.mistakes.push(format!("{} is listened to twice", E::TYPE));
        }
    }

    pub(crate) fn listen_many<S: ListenMany<E>, E: Event>(&mut self, service: &Arc<S>) {
        self.listen::<S, E>(service);
        self.ears_for_many.insert(E::TYPE, Box::new(As::<S, E>::new(service)));
    }

    fn enter(&mut self, kind: &'static str, entry: Entry) {
        if participant_of(kind) != self.name {
            self.mistakes.push(format!("{kind} is not a command to {}", self.name));
        }
        if self.entries.insert(kind, entry).is_some() {
            self.mistakes.push(format!("{kind} is registered twice"));
        }
    }

    pub(crate) fn entry(&self, kind: &str) -> Option<&Entry> {
        self.entries.get(kind)
    }

    /// A command whose effect is in the database, with its handler.
    pub(crate) fn item<'a>(&'a self, command: &'a CommandEnvelope) -> Option<batch::Item<'a>> {
        match self.entry(&command.kind)? {
            Entry::Database(handler) => {
                let many = self.many.get(command.kind.as_str()).map(AsRef::as_ref);
                Some(batch::Item { command, handler: handler.as_ref(), many })
            }
            Entry::Outside(_) => None,
        }
    }

    /// An event that somebody here listens to.
    pub(crate) fn heard<'a>(&'a self, event: &'a EventEnvelope) -> Option<listen::Item<'a>> {
        let kind = event.kind.as_str();
        let ear = self.ears.get(kind)?.as_ref();
        let many = self.ears_for_many.get(kind).map(AsRef::as_ref);
        Some(listen::Item { event, ear, many })
    }

    pub(crate) fn takes_commands(&self) -> bool {
        !self.entries.is_empty()
    }

    pub(crate) fn events(&self) -> Vec<&'static str> {
        self.ears.keys().copied().collect()
    }

    /// The breakers of everything outside, each once.
    pub(crate) fn breakers(&self) -> Vec<Breaker> {
        let breakers = self.entries.values().filter_map(|entry| match entry {
            Entry::Outside(entry) => Some((entry.breaker().name(), entry.breaker().clone())),
            Entry::Database(_) => None,
        });
        breakers.collect::<BTreeMap<_, _>>().into_values().collect()
    }

    /// One command, whatever its kind. `None` when nobody here handles it.
    pub(crate) async fn answer(
        &self,
        database: &Database,
        command: &CommandEnvelope,
    ) -> Result<Option<Result<Answered, Fault>>, Unfinished> {
        if let Some(Entry::Outside(handler)) = self.entry(&command.kind) {
            return outside::perform(handler, &self.errands, database, command).await.map(Some);
        }
        match self.item(command) {
            Some(item) => Ok(answer_all(database, &[item]).await?.pop()),
            None => Ok(None),
        }
    }
}

/// The span in which a command is handled: its `traceparent` is replaced as soon as it is read.
pub(crate) fn own(command: &CommandEnvelope) -> Option<Context> {
    spans::context(command.traceparent.as_deref())
}

/// Commands whose effects are in the database, in as few transactions as possible; the results
/// are in the order of the items.
pub(crate) async fn answer_all(
    database: &Database,
    items: &[batch::Item<'_>],
) -> Result<Vec<Result<Answered, Fault>>, Unfinished> {
    let commands: Vec<_> = items.iter().map(|item| item.command).collect();
    let mut results: Vec<_> = items.iter().map(|_| None).collect();
    for run in batch::runs(&commands) {
        let together: Vec<_> = run.iter().map(|index| items[*index]).collect();
        let handle = |items| transaction(database, items);
        for (index, result) in run.into_iter().zip(each(database, together, handle).await?) {
            results[index] = Some(result);
        }
    }
    let missing = || Err(Fault::permanent("the command was in no transaction"));
    Ok(results.into_iter().map(|result| result.unwrap_or_else(missing)).collect())
}

/// One transaction, and what it leaves in the traces.
async fn transaction(
    database: &Database,
    items: Vec<batch::Item<'_>>,
) -> Result<Vec<Result<Answered, Fault>>, Fault> {
    let transaction = Transaction::begin(database.name);
    let parts: Vec<_> = items.iter().map(|item| item.command).collect();
    let results = batch::handle(&database.lanes, items).await?;
    transaction.committed(parts.into_iter().map(|part| (own(part), About::from(part))));
    Ok(results)
}

/// Handles all items in one transaction; or one by one when that keeps failing, so that one bad
/// item does not hold up the others.
pub(crate) async fn each<I, T, W>(
    database: &Database,
    items: Vec<I>,
    handle: impl Fn(Vec<I>) -> W,
) -> Result<Vec<Result<T, Fault>>, Unfinished>
where
    I: Copy,
    W: Future<Output = Result<Vec<Result<T, Fault>>, Fault>>,
{
    if items.len() > 1 {
        match database.work(TRIES_TOGETHER, || handle(items.clone())).await? {
            Ok(results) => return Ok(results),
            Err(fault) => {
                tracing::debug!(error = fault.chain(), "batch is handled one by one");
            }
        }
    }
    let mut results = Vec::with_capacity(items.len());
    for item in items {
        match database.work(TRIES_ALONE, || handle(vec![item])).await? {
            Ok(alone) => results.extend(alone),
            Err(fault) => results.push(Err(fault)),
        }
    }
    Ok(results)
}
