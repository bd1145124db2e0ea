//! The journal: rows as the database keeps them, in words, and the histories. Read and written by
//! the orchestrator's own [`Row`] and [`Record`], so that what is lost in the words is lost here.

use crate::agenda::Micros;
use contracts::{Leg, Outcome, SagaId};
use orchestrator::{
    journal::Line,
    record::{Reason, Record},
    stored::{Row, Steps},
};
use sqlx::types::Json;
use std::collections::{BTreeMap, BTreeSet};
use time::{Duration, OffsetDateTime};

/// The world's beginning, for the store's clock: 2026-01-01.
const BEGINNING: i64 = 1_767_225_600;

pub fn instant(at: Micros) -> OffsetDateTime {
    let since = Duration::microseconds(i64::try_from(at).unwrap_or(i64::MAX / 2));
    OffsetDateTime::UNIX_EPOCH + Duration::seconds(BEGINNING) + since
}

/// As the database keeps a time: whole microseconds.
fn micros(at: OffsetDateTime) -> Micros {
    let since = at - OffsetDateTime::UNIX_EPOCH - Duration::seconds(BEGINNING);
    u64::try_from(since.whole_microseconds()).unwrap_or_default()
}

/// A row of the table `saga`.
#[derive(Clone, Debug)]
pub struct Stored {
    pub definition: &'static str,
    pub version: u16,
    pub word: &'static str,
    pub reason: Option<Reason>,
    pub steps: Steps,
    pub parked: Option<&'static str>,
    data: String,
    pub revision: i64,
    pub wake_at: Option<Micros>,
    deadline_at: Option<Micros>,
    created_at: Micros,
    ended_at: Option<Micros>,
    pub state: saga_core::State,
}

impl Stored {
    pub fn of(record: &Record) -> Self {
        Stored {
            definition: record.definition.plan().name(),
            version: record.definition.plan().version(),
            word: record.state_word(),
            reason: record.reason.clone(),
            steps: record.steps(),
            parked: record.parked(),
            data: String::from_utf8_lossy(&record.data).into_owned(),
            revision: record.revision,
            wake_at: record.wake_at().map(micros),
            deadline_at: record.deadline.map(micros),
            created_at: micros(record.created_at),
            ended_at: record.ended_at.map(micros),
            state: record.state,
        }
    }

    pub fn row(&self, saga: SagaId) -> Row {
        Row {
            id: saga.0,
            definition: self.definition.to_owned(),
            version: i32::from(self.version),
            state: self.word.to_owned(),
            cause: self.reason.clone().map(Json),
            steps: Json(self.steps.clone()),
            parked: self.parked.map(str::to_owned),
            data: self.data.clone(),
            revision: self.revision,
            wake_at: self.wake_at.map(instant),
            deadline_at: self.deadline_at.map(instant),
            traceparent: None,
            created_at: instant(self.created_at),
            updated_at: instant(self.created_at),
            ended_at: self.ended_at.map(instant),
            budgets: None,
        }
    }
}

/// A row of the table `saga_event`, as far as the core is concerned.
#[derive(Clone, Debug)]
pub struct Told {
    pub seq: i64,
    pub event: &'static str,
    pub step: Option<String>,
    pub leg: Option<Leg>,
    pub attempt: Option<u16>,
    pub outcome: Option<Outcome>,
}

impl From<&Line> for Told {
    fn from(line: &Line) -> Self {
        Told {
            seq: line.seq,
            event: line.event,
            step: line.step.clone(),
            leg: line.leg,
            attempt: line.attempt,
            outcome: line.outcome,
        }
    }
}

#[derive(Debug, Default)]
pub struct Store {
    rows: BTreeMap<usize, Stored>,
    wakes: BTreeSet<(Micros, usize)>,
    pub histories: BTreeMap<usize, Vec<Told>>,
}

impl Store {
    pub fn get(&self, saga: usize) -> Option<&Stored> {
        self.rows.get(&saga)
    }

    pub fn put(&mut self, saga: usize, stored: Stored) {
        self.forget_wake(saga);
        if let Some(at) = stored.wake_at {
            self.wakes.insert((at, saga));
        }
        self.rows.insert(saga, stored);
    }

    /// Leaves the saga without a wake-up. No honest part does that.
    pub fn forget_wake(&mut self, saga: usize) {
        if let Some(at) = self.rows.get_mut(&saga).and_then(|row| row.wake_at.take()) {
            self.wakes.remove(&(at, saga));
        }
    }

    /// Sagas whose wake-up time has come, longest due first.
    pub fn due(&self, now: Micros, most: usize) -> Vec<usize> {
        let due = self.wakes.iter().take_while(|(at, _)| *at <= now);
        due.take(most).map(|(_, saga)| *saga).collect()
    }

    pub fn next_wake(&self) -> Option<Micros> {
        self.wakes.first().map(|(at, _)| *at)
    }

    pub fn rows(&self) -> impl Iterator<Item = (usize, &Stored)> {
        self.rows.iter().map(|(saga, row)| (*saga, row))
    }
}
