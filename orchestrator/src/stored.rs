//! A saga's state as words: how it stands in the journal's columns.

use crate::record::{Reason, Record};
use contracts::SagaId;
use saga_core::{
    Budgets, Catalogue, Cause, Flight, MAX_STEPS, Phase, Plan, State, StepIndex, StepState, Try,
};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, types::Json};
use std::collections::BTreeMap;
use time::OffsetDateTime;
use uuid::Uuid;

/// A row of the table `saga`.
#[derive(Debug, FromRow)]
pub struct Row {
    pub id: Uuid,
    pub definition: String,
    pub version: i32,
    pub state: String,
    pub cause: Option<Json<Reason>>,
    pub steps: Json<Steps>,
    pub parked: Option<String>,
    pub data: String,
    pub revision: i64,
    pub wake_at: Option<OffsetDateTime>,
    pub deadline_at: Option<OffsetDateTime>,
    pub traceparent: Option<String>,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
    pub ended_at: Option<OffsetDateTime>,
    /// As it was when the saga began; `None` of a saga that is older than the column.
    pub budgets: Option<Json<Budgets>>,
}

/// Steps by name; those not asked for yet are absent.
pub type Steps = BTreeMap<String, Step>;

/// Where one step stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum Step {
    Acting(UnderWay),
    Done,
    Refused,
    Undoing(UnderWay),
    Undone,
}

/// The attempt under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnderWay {
    pub attempt: u16,
    /// Attempts left after this one.
    pub left: u8,
    pub flight: Word,
    /// Unix time in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wake: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    Sent,
    Resting,
    Parked,
}

/// A row that does not speak of the definition that it names.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("this build has no definition {name} v{version}")]
    UnknownDefinition { name: String, version: i32 },
    #[error("saga {saga}: {what} is not what the definition says")]
    Corrupt { saga: Uuid, what: String },
}

impl Row {
    /// The saga that the row tells of.
    pub fn record(self, catalogue: &Catalogue) -> Result<Record, Error> {
        let version = u16::try_from(self.version).unwrap_or_default();
        let definition = match &self.budgets {
            Some(Json(budgets)) => catalogue.pinned(&self.definition, version, budgets),
            None => catalogue.get(&self.definition, version).cloned(),
        };
        let Some(definition) = definition else {
            let (name, version) = (self.definition, self.version);
            return Err(Error::UnknownDefinition { name, version });
        };
        let plan = definition.plan();
        let corrupt = |what: &str| Error::Corrupt { saga: self.id, what: what.to_owned() };
        let reason = self.cause.map(|Json(reason)| reason);
        let phase = phase(plan, &self.state, reason.as_ref()).ok_or_else(|| corrupt("cause"))?;
        let mut wakes = [None; MAX_STEPS];
        let mut steps = Vec::with_capacity(self.steps.0.len());
        for (name, step) in &self.steps.0 {
            let index = plan.index(name).ok_or_else(|| corrupt(name))?;
            if let Step::Acting(under_way) | Step::Undoing(under_way) = step {
                wakes[index.get()] = under_way.wake.map(instant).transpose().unwrap_or_default();
            }
            steps.push((index, step.into()));
        }
        Ok(Record {
            id: SagaId(self.id),
            definition,
            state: State::restore(phase, steps),
            reason,
            wakes,
            data: self.data.into_bytes(),
            revision: self.revision,
            deadline: self.deadline_at,
            traceparent: self.traceparent,
            created_at: self.created_at,
            ended_at: self.ended_at,
        })
    }
}

impl Record {
    /// The word for where the saga stands.
    pub fn state_word(&self) -> &'static str {
        match self.state.phase {
            Phase::Running => "running",
            Phase::Compensating(_) => "compensating",
            Phase::Completed => "completed",
            Phase::Compensated(_) => "compensated",
        }
    }

    /// Where each step stands, in words.
    pub fn steps(&self) -> Steps {
        let plan = self.definition.plan();
        let stored = |index: StepIndex| {
            let under_way = |it: Try| UnderWay {
                attempt: it.attempt,
                left: it.left,
                flight: it.flight.into(),
                wake: self.wakes[index.get()].map(millis),
            };
            Some(match self.state.step(index) {
                StepState::Pending => return None,
                StepState::Acting(it) => Step::Acting(under_way(it)),
                StepState::Done => Step::Done,
                StepState::Refused => Step::Refused,
                StepState::Undoing(it) => Step::Undoing(under_way(it)),
                StepState::Undone => Step::Undone,
            })
        };
        plan.steps()
            .filter_map(|(index, spec)| Some((spec.name.to_owned(), stored(index)?)))
            .collect()
    }
}

fn phase(plan: &Plan, state: &str, reason: Option<&Reason>) -> Option<Phase> {
    let cause = || {
        let Reason { cause, step, .. } = reason?;
        let step = step.as_deref().map(|name| plan.index(name));
        Some(match (cause.as_str(), step.flatten()) {
            ("refused", Some(step)) => Cause::Refused(step),
            ("faulted", Some(step)) => Cause::Faulted(step),
            ("unanswered", Some(step)) => Cause::Unanswered(step),
            ("cancelled", None) => Cause::Cancelled,
            ("deadline-passed", None) => Cause::DeadlinePassed,
            ("forced", None) => Cause::Forced,
            _ => return None,
        })
    };
    Some(match state {
        "running" => Phase::Running,
        "completed" => Phase::Completed,
        "compensating" => Phase::Compensating(cause()?),
        "compensated" => Phase::Compensated(cause()?),
        _ => return None,
    })
}

fn millis(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

fn instant(millis: i64) -> Result<OffsetDateTime, time::error::ComponentRange> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000)
}

impl From<&Step> for StepState {
    fn from(step: &Step) -> Self {
        let under_way = |it: &UnderWay| Try {
            attempt: it.attempt,
            left: it.left,
            flight: match it.flight {
                Word::Sent => Flight::Sent,
                Word::Resting => Flight::Resting,
                Word::Parked => Flight::Parked,
            },
        };
        match step {
            Step::Acting(it) => StepState::Acting(under_way(it)),
            Step::Done => StepState::Done,
            Step::Refused => StepState::Refused,
            Step::Undoing(it) => StepState::Undoing(under_way(it)),
            Step::Undone => StepState::Undone,
        }
    }
}

impl From<Flight> for Word {
    fn from(flight: Flight) -> Self {
        match flight {
            Flight::Sent => Word::Sent,
            Flight::Resting => Word::Resting,
            Flight::Parked => Word::Parked,
        }
    }
}
