//! What operators ask of sagas, as it goes through the engine, and what it is answered with.

use crate::record::Record;
use contracts::{Leg, SagaId};
use saga_core::{Flight, Ignored, StepIndex, Verb};
use serde_json::{Value, json};
use uuid::Uuid;

/// A verb for one saga, with who asks and why.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The id of its audit row.
    pub audit: Uuid,
    pub saga: SagaId,
    pub wanted: Wanted,
    pub reason: String,
    /// As told by whoever asks.
    pub by: Option<String>,
}

/// A verb, with its steps by name.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    Cancel,
    Resume,
    Retry(Which),
    /// With the reply to assume, JSON.
    Skip(Which, Value),
    ForceCompensate,
}

/// A leg, as far as it was said. What is left out is the one that is waited for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Which {
    pub step: Option<String>,
    pub leg: Option<Leg>,
}

/// Why an ask cannot be brought before the core.
#[derive(Clone, Debug, PartialEq)]
pub struct Unacceptable {
    pub field: &'static str,
    pub why: String,
}

impl Ask {
    pub fn new(saga: SagaId, wanted: Wanted, reason: impl Into<String>) -> Self {
        Ask { audit: Uuid::now_v7(), saga, wanted, reason: reason.into(), by: None }
    }

    /// What the history keeps of it, JSON.
    pub(crate) fn body(&self) -> Vec<u8> {
        let mut body = json!({ "reason": self.reason });
        if let Some(by) = &self.by {
            body["by"] = json!(by);
        }
        if let Wanted::Skip(_, value) = &self.wanted {
            body["value"] = value.clone();
        }
        body.to_string().into_bytes()
    }
}

impl Wanted {
    /// The word for it, as in paths, audit rows and failpoints.
    pub fn as_str(&self) -> &'static str {
        match self {
            Wanted::Cancel => "cancel",
            Wanted::Resume => "resume",
            Wanted::Retry(_) => "retry",
            Wanted::Skip(..) => "skip",
            Wanted::ForceCompensate => "force-compensate",
        }
    }

    /// The word for it in a history.
    pub(crate) fn event(&self) -> &'static str {
        match self {
            Wanted::Cancel => "cancel-requested",
            Wanted::Resume => "resume-requested",
            Wanted::Retry(_) => "retry-requested",
            Wanted::Skip(..) => "skip-requested",
            Wanted::ForceCompensate => "force-compensate-requested",
        }
    }

    /// What it is to this saga.
    pub(crate) fn verb(&self, record: &Record) -> Result<Verb, Unacceptable> {
        Ok(match self {
            Wanted::Cancel => Verb::Cancel,
            Wanted::Resume => Verb::Resume,
            Wanted::ForceCompensate => Verb::ForceCompensate,
            Wanted::Retry(which) => {
                let (step, leg) = which.leg(record, false)?;
                Verb::Retry { step, leg }
            }
            Wanted::Skip(which, _) => {
                let (step, leg) = which.leg(record, true)?;
                Verb::Skip { step, leg }
            }
        })
    }
}

impl Which {
    /// The leg that is meant; with nothing said, the only one that is waited for (and parked).
    fn leg(&self, record: &Record, parked: bool) -> Result<(StepIndex, Leg), Unacceptable> {
        let plan = record.definition.plan();
        let wrong = |field, why| Unacceptable { field, why };
        if let Some(name) = &self.step {
            let Some(step) = plan.index(name) else {
                return Err(wrong("step", format!("is no step of {}", plan.name())));
            };
            let waited = record.state.waits().find(|wait| wait.step == step).map(|wait| wait.leg);
            return Ok((step, self.leg.or(waited).unwrap_or(Leg::Action)));
        }
        let mut meant: Vec<_> = record.state.waits().collect();
        meant.retain(|wait| self.leg.is_none_or(|leg| wait.leg == leg));
        if parked && meant.iter().any(|wait| wait.flight == Flight::Parked) {
            meant.retain(|wait| wait.flight == Flight::Parked);
        }
        match meant[..] {
            [wait] => Ok((wait.step, wait.leg)),
            // The core has the words for it.
            [] => Ok((plan.pivot(), self.leg.unwrap_or(Leg::Compensation))),
            _ => {
                let names: Vec<_> = meant.iter().map(|wait| plan.step(wait.step).name).collect();
                Err(wrong("step", format!("is one of {}: say which", names.join(", "))))
            }
        }
    }
}

/// Why a verb is refused, for people.
pub fn why(ignored: Ignored) -> &'static str {
    match ignored {
        Ignored::Stale => "it has been answered already",
        Ignored::Over => "the saga has ended",
        Ignored::PastPivot => {
            "the pivot has been asked for; from there on the saga only goes forward"
        }
        Ignored::AlreadyCompensating => "the saga is on its way back already",
        Ignored::NothingParked => "nothing of the saga is parked",
        Ignored::NotAwaited => "that leg is not waited for",
        Ignored::StillAsked => {
            "it is still being asked, and may be done at this moment; only what is parked can be vouched for"
        }
        Ignored::PivotNotAsked => "the pivot has not been asked for; cancel undoes the saga",
        Ignored::PivotDone => "the pivot is done; after the pivot the saga only goes forward",
    }
}
