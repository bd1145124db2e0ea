//! A saga's history, told again: the events as stored, each with what the core made of it. Nothing
//! of this is stored; the core gives the same answer whenever it is asked.

use crate::{api::schema::LegWord, stored::Row};
use contracts::{Leg, Outcome};
use saga_core::{
    Effect, Ending, Event, MAX_STEPS, Moved, Plan, State, StepIndex, Transition, start, transition,
};
use serde::Serialize;
use serde_json::Value;
use sqlx::{FromRow, PgPool};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

/// A row of the table `saga_event`.
#[derive(Debug, FromRow)]
pub struct Line {
    seq: i64,
    at: OffsetDateTime,
    event: String,
    step: Option<String>,
    leg: Option<String>,
    attempt: Option<i32>,
    outcome: Option<String>,
    body: Option<String>,
}

/// One line of the history as told.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HistoryLine)]
pub struct Told {
    pub seq: i64,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// `started`, `replied`, `timed-out`, `rested`, `deadline-passed`, or a verb: `cancel-requested`,
    /// `resume-requested`, `retry-requested`, `skip-requested`, `force-compensate-requested`.
    pub event: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub step: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = LegWord, nullable = false)]
    pub leg: Option<Leg>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub attempt: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, nullable = false)]
    pub outcome: Option<Outcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// What it led to.
    pub then: Vec<Then>,
}

/// What an event led to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LedTo)]
#[serde(untagged)]
pub enum Then {
    Sent {
        sent: &'static str,
        step: &'static str,
        #[schema(value_type = LegWord)]
        leg: Leg,
        attempt: u16,
    },
    Rests {
        rests: &'static str,
        #[schema(value_type = LegWord)]
        leg: Leg,
        attempt: u16,
    },
    Parked {
        parked: &'static str,
        #[schema(value_type = LegWord)]
        leg: Leg,
    },
    Ended {
        ended: &'static str,
    },
}

/// How often each leg was sent.
#[derive(Debug, Default)]
pub struct Attempts([[u16; 2]; MAX_STEPS]);

impl Attempts {
    pub fn of(&self, step: StepIndex, leg: Leg) -> u16 {
        self.0[step.get()][usize::from(leg == Leg::Compensation)]
    }
}

pub async fn row(pool: &PgPool, id: Uuid) -> sqlx::Result<Option<Row>> {
    Ok(rows(pool, &[id]).await?.pop())
}

pub async fn rows(pool: &PgPool, ids: &[Uuid]) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as(
        "SELECT id, definition, version, state, cause, steps, parked, data::text AS data, revision,
                wake_at, deadline_at, traceparent, created_at, updated_at, ended_at, budgets
           FROM saga WHERE id = ANY($1)",
    )
    .bind(ids)
    .fetch_all(pool)
    .await
}

pub async fn history(pool: &PgPool, id: Uuid) -> sqlx::Result<Vec<Line>> {
    sqlx::query_as(
        "SELECT seq, at, event, step, leg, attempt, outcome, body::text AS body
           FROM saga_event WHERE saga_id = $1 ORDER BY seq",
    )
    .bind(id)
    .fetch_all(pool)
    .await
}

/// Replays the history through the core.
pub fn tell(plan: &Plan, lines: Vec<Line>) -> (Vec<Told>, Attempts) {
    let mut attempts = Attempts::default();
    let mut state: Option<State> = None;
    let mut told = Vec::with_capacity(lines.len());
    for line in lines {
        let moved = match &state {
            None => Some(start(plan)),
            Some(state) => {
                line.event(plan).and_then(|event| match transition(plan, state, event) {
                    Transition::Moved(moved) => Some(moved),
                    Transition::Ignored(_) => None,
                })
            }
        };
        let mut one = Told::plain(line);
        if let Some(moved) = moved {
            if one.event == "woke" {
                one.event = waking(state.as_ref(), &one).to_owned();
            }
            one.then = then(plan, state.as_ref(), &moved, &mut attempts);
            state = Some(moved.state);
        }
        told.push(one);
    }
    (told, attempts)
}

/// What the wake-up was for: an answer that did not come, or a rest that was over.
fn waking(state: Option<&State>, told: &Told) -> &'static str {
    let attempt = told.attempt.unwrap_or_default();
    let resting = state.is_some_and(|state| {
        state.waits().any(|wait| {
            i32::from(wait.attempt) == attempt && wait.flight == saga_core::Flight::Resting
        })
    });
    if resting { "rested" } else { "timed-out" }
}

/// What a move leads to; counts what is sent.
pub fn then(
    plan: &Plan,
    before: Option<&State>,
    moved: &Moved,
    attempts: &mut Attempts,
) -> Vec<Then> {
    let mut then = Vec::new();
    for effect in &moved.effects {
        then.push(match *effect {
            Effect::Invoke { step, leg, attempt } => {
                attempts.0[step.get()][usize::from(leg == Leg::Compensation)] += 1;
                let sent = plan.leg(step, leg).map_or("", |spec| spec.command);
                Then::Sent { sent, step: plan.step(step).name, leg, attempt }
            }
            Effect::Announce(Ending::Completed) => Then::Ended { ended: "completed" },
            Effect::Announce(Ending::Compensated(_)) => Then::Ended { ended: "compensated" },
        });
    }
    for wait in moved.state.waits() {
        let new = before.is_none_or(|before| before.waits().all(|was| was != wait));
        let name = plan.step(wait.step).name;
        match wait.flight {
            saga_core::Flight::Parked if new => {
                then.push(Then::Parked { parked: name, leg: wait.leg });
            }
            saga_core::Flight::Resting if new => {
                then.push(Then::Rests { rests: name, leg: wait.leg, attempt: wait.attempt });
            }
            _ => {}
        }
    }
    then
}

impl Told {
    /// A line without what it led to.
    pub fn plain(line: Line) -> Self {
        Told {
            seq: line.seq,
            at: line.at,
            event: line.event,
            step: line.step,
            leg: line.leg.and_then(|leg| leg.parse().ok()),
            attempt: line.attempt,
            outcome: line.outcome.and_then(|outcome| outcome.parse().ok()),
            body: line.body.and_then(|body| serde_json::from_str(&body).ok()),
            then: Vec::new(),
        }
    }

    /// The answer to the step's action, given or assumed, if this is one.
    pub fn answer(&self, step: &str) -> Option<Option<&Value>> {
        if self.leg != Some(Leg::Action) || self.step.as_deref() != Some(step) {
            return None;
        }
        match self.event.as_str() {
            "replied" => Some(self.body.as_ref()),
            "skip-requested" => Some(self.body.as_ref().and_then(|body| body.get("value"))),
            _ => None,
        }
    }
}

impl Line {
    /// The event that the line stands for; `None` for words that this build does not know.
    pub fn event(&self, plan: &Plan) -> Option<Event> {
        let leg = || {
            let step = plan.index(self.step.as_deref()?)?;
            let leg: Leg = self.leg.as_deref()?.parse().ok()?;
            Some((step, leg, u16::try_from(self.attempt?).ok()?))
        };
        Some(match self.event.as_str() {
            "replied" => {
                let (step, leg, attempt) = leg()?;
                let outcome: Outcome = self.outcome.as_deref()?.parse().ok()?;
                Event::Replied { step, leg, attempt, outcome }
            }
            "woke" => {
                let (step, leg, attempt) = leg()?;
                Event::Woke { step, leg, attempt }
            }
            "cancel-requested" => Event::CancelRequested,
            "deadline-passed" => Event::DeadlinePassed,
            "resume-requested" => Event::ResumeRequested,
            "retry-requested" => {
                let (step, leg, _) = leg()?;
                Event::RetryRequested { step, leg }
            }
            "skip-requested" => {
                let (step, leg, _) = leg()?;
                Event::SkipRequested { step, leg }
            }
            "force-compensate-requested" => Event::ForceCompensateRequested,
            _ => return None,
        })
    }
}
