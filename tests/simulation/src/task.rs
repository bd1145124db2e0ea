//! What a process is in the middle of: a transaction and what follows from it. Gone when the
//! process crashes; what it held goes back.

use crate::{
    agenda::Micros,
    broker::{Outgoing, Tag},
    leg::LegKey,
    locks::Key,
    outside::Word,
    participant::Change,
    store::Stored,
};
use contracts::{CommandEnvelope, Outcome};
use orchestrator::{
    engine::{Occurrence, Verdict},
    journal::Line,
};
use std::rc::Rc;
use worker::fate::Nature;

pub type TaskId = u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Begin,
    Lock,
    Commit,
    /// Outside any transaction, with a call under way.
    Call,
    Publish,
}

#[derive(Debug)]
pub struct Task {
    pub process: usize,
    /// The deliveries to acknowledge at the end.
    pub tags: Vec<Tag>,
    /// Locks that it has or wants.
    pub keys: Vec<Key>,
    pub stage: Stage,
    /// Rises with every step: what was meant for an earlier one comes to nothing.
    pub turn: u32,
    /// What follows, to be confirmed before the acknowledgement.
    pub letters: Vec<Outgoing>,
    /// The database has ended its transaction.
    pub rolled_back: bool,
    pub work: Work,
}

#[derive(Debug)]
pub enum Work {
    Advance(Advance),
    Serve(Serve),
    Errand(Errand),
    /// Nothing but publishing.
    Send,
}

/// An orchestrator's transaction.
#[derive(Debug, Default)]
pub struct Advance {
    pub batch: Vec<Occurrence>,
    /// Begun by the clock, not by a delivery.
    pub is_wakeup: bool,
    /// The store's clock at the beginning.
    pub at: Micros,
    pub verdicts: Vec<Verdict>,
    pub lines: Vec<Line>,
    pub rows: Vec<(usize, Stored)>,
}

/// A command in hand.
#[derive(Clone, Debug)]
pub struct Job {
    pub tag: Tag,
    pub command: Rc<CommandEnvelope>,
    pub key: LegKey,
    pub retries: u32,
    /// Within the process.
    pub tries: u8,
}

/// Commands of one participant in one transaction.
#[derive(Debug)]
pub struct Serve {
    pub participant: usize,
    pub jobs: Vec<Job>,
    pub changes: Vec<Change>,
    pub results: Vec<Result<Outcome, Nature>>,
}

/// A command whose effect is outside: prepare, call, record.
#[derive(Debug)]
pub struct Errand {
    pub participant: usize,
    pub job: Job,
    pub phase: Phase,
    pub calls: u8,
    pub word: Option<Word>,
    pub changes: Vec<Change>,
    pub then: Then,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Prepare,
    Record,
}

/// Where a transaction of an errand leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    Call,
    Answer(Outcome),
    Fault(Nature),
}

/// What is next for a task.
#[derive(Clone, Copy, Debug)]
pub enum Flow {
    /// Another step after this time.
    After(Micros),
    /// Somebody else says when: a lock, a call.
    Wait,
    /// Publishes what it has, until it is confirmed.
    Publish,
    Finished,
    /// Its process dies here.
    Crash,
}

impl Task {
    pub fn new(process: usize, tags: Vec<Tag>, work: Work) -> Self {
        Task {
            process,
            tags,
            keys: Vec::new(),
            stage: Stage::Begin,
            turn: 0,
            letters: Vec::new(),
            rolled_back: false,
            work,
        }
    }
}
