//! The ledger together with the answers already given, behind one lock and one journal.

use crate::{
    answer::Answer,
    journal::{Error, Journal},
    ledger::{Change, Decision, Ledger},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    collections::HashMap,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What was asked under a key, and what was answered: one line of the journal.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    operation: String,
    key: String,
    request: Value,
    answer: Answer,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    change: Option<Change>,
}

struct Given {
    request: Value,
    answer: Answer,
}

#[derive(Default)]
struct Pages {
    ledger: Ledger,
    /// By operation and key.
    given: HashMap<(String, String), Given>,
    /// How often a flaky method was tried, by key.
    tries: HashMap<String, u32>,
    journal: Option<Journal>,
}

pub(crate) struct Book(Mutex<Pages>);

/// An answer, and whether this request is the one that caused it.
pub(crate) struct Told {
    pub(crate) answer: Answer,
    pub(crate) first: bool,
}

impl Book {
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, Error> {
        let mut pages = Pages::default();
        if let Some(path) = path {
            let (journal, entries) = Journal::open::<Entry>(path)?;
            entries.into_iter().for_each(|entry| pages.keep(entry));
            pages.journal = Some(journal);
        }
        Ok(Book(Mutex::new(pages)))
    }

    pub(crate) fn ledger(&self) -> Ledger {
        self.pages().ledger.clone()
    }

    /// Counts the calls under `key`, from 1. Not kept over a restart.
    pub(crate) fn count_try(&self, key: &str) -> u32 {
        let mut pages = self.pages();
        let tries = pages.tries.entry(key.to_owned()).or_default();
        *tries += 1;
        *tries
    }

    /// The answer already given under this key, or the one that `decide` gives now.
    pub(crate) fn answer(
        &self,
        operation: &str,
        key: &str,
        request: Value,
        decide: impl FnOnce(&Ledger) -> Decision,
    ) -> Result<Told, Error> {
        let mut pages = self.pages();
        if let Some(given) = pages.given.get(&(operation.to_owned(), key.to_owned())) {
            let answer = if given.request == request {
                given.answer.clone()
            } else {
                Answer::no(422, "key-reused")
            };
            return Ok(Told { answer, first: false });
        }
        let Decision { answer, change } = decide(&pages.ledger);
        if answer.is_final() {
            pages.write(Entry {
                operation: operation.to_owned(),
                key: key.to_owned(),
                request,
                answer: answer.clone(),
                change,
            })?;
        }
        Ok(Told { answer, first: true })
    }

    /// Notes what came, every time it comes.
    pub(crate) fn receive(&self, key: &str, body: Value) -> Result<Answer, Error> {
        let mut pages = self.pages();
        let Decision { answer, change } = pages.ledger.receive(key, body);
        pages.write(Entry {
            operation: "webhook".to_owned(),
            key: key.to_owned(),
            request: Value::Null,
            answer: answer.clone(),
            change,
        })?;
        Ok(answer)
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        // Every change is one insertion, so a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    fn write(&mut self, entry: Entry) -> Result<(), Error> {
        if let Some(journal) = &mut self.journal {
            journal.append(&entry)?;
        }
        self.keep(entry);
        Ok(())
    }

    fn keep(&mut self, entry: Entry) {
        if let Some(change) = entry.change {
            self.ledger.apply(change);
        }
        let given = Given { request: entry.request, answer: entry.answer };
        self.given.insert((entry.operation, entry.key), given);
    }
}
