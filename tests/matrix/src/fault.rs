//! The columns: what goes wrong.

use crate::row::Row;
use contracts::Leg;
use std::{fmt, str::FromStr};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    Refuse,
    Faulted,
    TimeoutWithEffect,
    TimeoutWithoutEffect,
    WorkerBeforeCommit,
    WorkerAfterCommit,
    WorkerAfterPublish,
    DuplicateCommand,
    DuplicateReply,
    LateReply,
    UndoBeforeDo,
    Poison,
    Unroutable,
    ConnectionCut,
    OrchestratorBeforeCommit,
    OrchestratorAfterCommit,
    OrchestratorAfterConfirm,
}

/// Faults that can happen to different sagas side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Processes and connections live.
    Calm,
    /// Connections are cut.
    Cuts,
    /// Processes die.
    Deaths,
    /// Routes are taken away from everybody.
    Routes,
}

impl Fault {
    pub const ALL: [Fault; 17] = [
        Fault::Refuse,
        Fault::Faulted,
        Fault::TimeoutWithEffect,
        Fault::TimeoutWithoutEffect,
        Fault::WorkerBeforeCommit,
        Fault::WorkerAfterCommit,
        Fault::WorkerAfterPublish,
        Fault::DuplicateCommand,
        Fault::DuplicateReply,
        Fault::LateReply,
        Fault::UndoBeforeDo,
        Fault::Poison,
        Fault::Unroutable,
        Fault::ConnectionCut,
        Fault::OrchestratorBeforeCommit,
        Fault::OrchestratorAfterCommit,
        Fault::OrchestratorAfterConfirm,
    ];

    /// Its name, the two letters over its column, and what happens.
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Fault::Refuse => ("refuse", "no", "the participant refuses"),
            Fault::Faulted => ("fault", "fa", "the participant vouches that it failed, every time"),
            Fault::TimeoutWithEffect => {
                ("timeout-with-effect", "t+", "it is done, and no reply ever arrives")
            }
            Fault::TimeoutWithoutEffect => {
                ("timeout-without-effect", "t-", "no command ever arrives")
            }
            Fault::WorkerBeforeCommit => {
                ("worker-before-commit", "w1", "the worker is killed before it commits")
            }
            Fault::WorkerAfterCommit => {
                ("worker-after-commit", "w2", "the worker is killed before it publishes")
            }
            Fault::WorkerAfterPublish => {
                ("worker-after-publish", "w3", "the worker is killed before it acknowledges")
            }
            Fault::DuplicateCommand => {
                ("duplicate-command", "dc", "the command comes again, at once and later")
            }
            Fault::DuplicateReply => {
                ("duplicate-reply", "dr", "the reply comes again, at once and later")
            }
            Fault::LateReply => ("late-reply", "lr", "the reply comes when nobody waits any more"),
            Fault::UndoBeforeDo => {
                ("undo-before-do", "ud", "the compensation overtakes its action")
            }
            Fault::Poison => ("poison", "po", "command and reply come garbled"),
            Fault::Unroutable => ("unroutable", "un", "no queue takes the command, then the reply"),
            Fault::ConnectionCut => {
                ("connection-cut", "cc", "the connections break while command and reply are sent")
            }
            Fault::OrchestratorBeforeCommit => {
                ("orchestrator-before-commit", "o1", "the orchestrator is killed before it commits")
            }
            Fault::OrchestratorAfterCommit => (
                "orchestrator-after-commit",
                "o2",
                "the orchestrator is killed before it publishes",
            ),
            Fault::OrchestratorAfterConfirm => (
                "orchestrator-after-confirm",
                "o3",
                "the orchestrator is killed before it acknowledges",
            ),
        }
    }

    pub fn as_str(self) -> &'static str {
        self.words().0
    }

    pub fn letters(self) -> &'static str {
        self.words().1
    }

    pub fn told(self) -> &'static str {
        self.words().2
    }

    pub fn phase(self) -> Phase {
        match self {
            Fault::ConnectionCut => Phase::Cuts,
            Fault::Unroutable => Phase::Routes,
            Fault::WorkerBeforeCommit
            | Fault::WorkerAfterCommit
            | Fault::WorkerAfterPublish
            | Fault::OrchestratorBeforeCommit
            | Fault::OrchestratorAfterCommit
            | Fault::OrchestratorAfterConfirm => Phase::Deaths,
            _ => Phase::Calm,
        }
    }

    /// Why it cannot happen to this leg, if it cannot.
    pub fn impossible(self, row: &Row) -> Option<&'static str> {
        match (self, row.leg) {
            (Fault::Refuse, Leg::Compensation) => Some("a compensation cannot be refused"),
            (Fault::Refuse, Leg::Action) if !row.may_refuse() => {
                Some("after the pivot nothing can be refused")
            }
            (Fault::UndoBeforeDo, Leg::Compensation) => {
                Some("it is the undo; the row of its action has it")
            }
            (Fault::UndoBeforeDo, Leg::Action) if row.undo.is_none() => {
                Some("from the pivot on nothing is undone")
            }
            _ => None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Fault::ALL.into_iter().find(|fault| fault.as_str() == text);
        found.ok_or_else(|| {
            let all: Vec<_> = Fault::ALL.iter().map(|fault| fault.as_str()).collect();
            format!("there is no fault {text:?}, but: {}", all.join(", "))
        })
    }
}
