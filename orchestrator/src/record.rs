//! One saga in memory: its state, and what the core does not know about it: payloads, times, words.

use contracts::{CommandEnvelope, Leg, ReplyEnvelope, SagaId};
use messaging::spans::{self, About};
use runtime::trace::{Kind, Span};
use saga_core::{
    Cause, Defined, Effect, Event, Flight, Ignored, MAX_STEPS, MappingError, Moved, Phase, State,
    StepIndex, StepState, Transition, Verb, Wait, Why, start, transition,
};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use time::OffsetDateTime;

/// Why a saga goes back, as stored and shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Reason {
    /// `refused`, `faulted`, `unanswered`, `cancelled`, `deadline-passed` or `forced`.
    pub cause: String,
    /// The step that turned the saga round, if one did.
    pub step: Option<String>,
    /// For people.
    pub text: String,
    /// The body of the reply that did, if one did.
    #[schema(value_type = Option<serde_json::Value>)]
    pub detail: Option<serde_json::Value>,
}

/// One saga, pinned to its definition.
pub struct Record {
    pub id: SagaId,
    pub definition: Arc<dyn Defined>,
    pub state: State,
    pub reason: Option<Reason>,
    /// When to wake for the leg that each step waits for.
    pub wakes: [Option<OffsetDateTime>; MAX_STEPS],
    /// JSON: what the commands are made of.
    pub data: Vec<u8>,
    /// The number of events in the history.
    pub revision: i64,
    pub deadline: Option<OffsetDateTime>,
    pub traceparent: Option<String>,
    pub created_at: OffsetDateTime,
    pub ended_at: Option<OffsetDateTime>,
}

impl Record {
    /// A saga that starts: its first stage is asked for.
    pub fn begin(
        id: SagaId,
        definition: Arc<dyn Defined>,
        data: Vec<u8>,
        traceparent: Option<String>,
        now: OffsetDateTime,
    ) -> Self {
        let Moved { state, .. } = start(definition.plan());
        let deadline = definition.plan().deadline().map(|after| now + after);
        let mut record = Record {
            id,
            definition,
            state,
            reason: None,
            wakes: [None; MAX_STEPS],
            data,
            revision: 1,
            deadline,
            traceparent,
            created_at: now,
            ended_at: None,
        };
        for wait in record.state.waits().collect::<Vec<_>>() {
            record.wakes[wait.step.get()] = record.wake_of(&wait, now);
        }
        record
    }

    /// Lets the core decide. The reason is told when the event turns the saga round.
    pub fn apply(
        &mut self,
        event: Event,
        body: Option<&[u8]>,
        now: OffsetDateTime,
    ) -> Result<Vec<Effect>, Ignored> {
        let Moved { state, effects } = match transition(self.definition.plan(), &self.state, event)
        {
            Transition::Moved(moved) => moved,
            Transition::Ignored(why) => return Err(why),
        };
        if let (Phase::Running, Phase::Compensating(cause) | Phase::Compensated(cause)) =
            (self.state.phase, state.phase)
        {
            self.reason = Some(self.reason(cause, body));
        }
        let before = std::mem::replace(&mut self.state, state);
        let mut wakes = [None; MAX_STEPS];
        for wait in state.waits() {
            let same = before.waits().any(|was| was == wait);
            let at = wait.step.get();
            wakes[at] = if same { self.wakes[at] } else { self.wake_of(&wait, now) };
        }
        self.wakes = wakes;
        self.revision += 1;
        self.ended_at = (!state.is_open()).then_some(now);
        Ok(effects)
    }

    /// Whether the core would move at an operator's verb.
    pub fn allows(&self, verb: Verb) -> Result<(), Ignored> {
        match transition(self.definition.plan(), &self.state, verb.event()) {
            Transition::Moved(_) => Ok(()),
            Transition::Ignored(why) => Err(why),
        }
    }

    /// The event of a reply, if it speaks of a step of this saga and comes from whom it should.
    pub fn event_of(&self, reply: &ReplyEnvelope) -> Option<(StepIndex, Event)> {
        let plan = self.definition.plan();
        let step = plan.index(&reply.step)?;
        let spec = plan.leg(step, reply.leg)?;
        let ReplyEnvelope { leg, attempt, outcome, .. } = *reply;
        (spec.command == reply.kind)
            .then_some((step, Event::Replied { step, leg, attempt, outcome }))
    }

    /// What is due now: legs to wake for, and the saga's own deadline.
    pub fn due(&self, now: OffsetDateTime) -> Vec<Event> {
        let woken = self.state.waits().filter_map(|Wait { step, leg, attempt, .. }| {
            let due = self.wakes[step.get()].is_some_and(|at| at <= now);
            due.then_some(Event::Woke { step, leg, attempt })
        });
        let deadline = self.deadline.filter(|at| *at <= now).map(|_| Event::DeadlinePassed);
        deadline.into_iter().chain(woken).collect()
    }

    /// When the saga must be looked at again if nothing else happens.
    pub fn wake_at(&self) -> Option<OffsetDateTime> {
        let running = self.state.phase == Phase::Running;
        let undecided = self.state.step(self.definition.plan().pivot()) == StepState::Pending;
        let deadline = self.deadline.filter(|_| running && undecided);
        self.wakes.iter().copied().flatten().chain(deadline).min()
    }

    /// The name of the first step that cannot go on alone.
    pub fn parked(&self) -> Option<&'static str> {
        self.state.parked().map(|wait| self.definition.plan().step(wait.step).name)
    }

    /// When an answer to this leg has been waited for since; `None` while nobody waits, and after a
    /// fault or the last attempt.
    pub fn asked_at(&self, step: StepIndex, leg: Leg) -> Option<OffsetDateTime> {
        let asked =
            |wait: &Wait| wait.step == step && wait.leg == leg && wait.flight == Flight::Sent;
        self.state.waits().find(asked)?;
        let until = self.wakes[step.get()]?;
        Some(until - self.definition.plan().leg(step, leg)?.timeout)
    }

    /// The commands that are sent and not answered.
    pub fn outstanding(&self) -> Vec<Wait> {
        self.state.waits().filter(|wait| wait.flight == Flight::Sent).collect()
    }

    /// The command of a leg, ready to be sent.
    pub fn command(&self, wait: Wait) -> Result<CommandEnvelope, MappingError> {
        let Wait { step, leg, attempt, .. } = wait;
        let plan = self.definition.plan();
        let kind = plan.leg(step, leg).map_or("", |spec| spec.command);
        let deadline = self.wakes[step.get()].unwrap_or(self.created_at);
        Ok(CommandEnvelope {
            saga: self.id,
            definition: plan.name().to_owned(),
            step: plan.step(step).name.to_owned(),
            leg,
            attempt,
            kind: kind.to_owned(),
            deadline,
            traceparent: self.traceparent.clone(),
            body: self.payload(step, leg)?,
        })
    }

    /// The body of a leg's command. The same whenever it is rendered.
    pub fn payload(&self, step: StepIndex, leg: Leg) -> Result<Vec<u8>, MappingError> {
        let why = self.reason.as_ref().map(|reason| Why {
            cause: reason.cause.clone(),
            step: reason.step.clone(),
            text: reason.text.clone(),
        });
        self.definition.command(&self.data, step, leg, why.as_ref())
    }

    /// The saga as a whole, from its start to its ending, in its trace.
    pub fn trace_ending(&self) {
        let anchor = spans::context(self.traceparent.as_deref());
        let name = self.definition.plan().name();
        let mut span = Span::below(Kind::Internal, anchor, || format!("saga {name}"));
        let Some(ended) = self.ended_at.filter(|_| span.is_recorded()) else { return };
        About::saga(self.id).set(&mut span);
        span.set("saga.definition", name);
        span.set("saga.ending", self.state_word());
        if let Some(reason) = &self.reason {
            span.set("saga.cause", &reason.cause);
            if let Some(step) = &reason.step {
                span.set("saga.cause.step", step);
            }
        }
        span.began_at(self.created_at.into());
        span.end_at(ended.into());
    }

    fn wake_of(&self, wait: &Wait, now: OffsetDateTime) -> Option<OffsetDateTime> {
        let spec = self.definition.plan().leg(wait.step, wait.leg)?;
        let after = match wait.flight {
            Flight::Sent => spec.timeout,
            Flight::Resting => spec.retry.delay(wait.attempt, self.seed()),
            Flight::Parked => return None,
        };
        Some(now + after.max(Duration::from_millis(1)))
    }

    fn seed(&self) -> u64 {
        self.id.0.as_u64_pair().1
    }

    fn reason(&self, cause: Cause, body: Option<&[u8]>) -> Reason {
        let plan = self.definition.plan();
        let step = cause.step().map(|step| plan.step(step).name);
        let body = body.unwrap_or_default();
        let detail: Option<serde_json::Value> = serde_json::from_slice(body).ok();
        let name = step.unwrap_or_default();
        let text = match cause {
            Cause::Refused(step) => {
                let why = self.definition.refusal(step, body);
                format!("{name} refused: {}", why.unwrap_or_else(|_| "no reason given".into()))
            }
            Cause::Faulted(_) => {
                let error = detail.as_ref().and_then(|detail| detail.get("error"));
                let error = error.and_then(|error| error.as_str());
                format!("{name} faulted: {}", error.unwrap_or("no error given"))
            }
            Cause::Unanswered(step) => {
                let attempts = plan.step(step).action.attempts;
                let word = if attempts == 1 { "attempt" } else { "attempts" };
                format!("{name} was not answered in {attempts} {word}")
            }
            Cause::Cancelled | Cause::Forced => {
                let what = if cause == Cause::Forced { "forced back" } else { "cancelled" };
                let why = detail.as_ref().and_then(|detail| detail.get("reason"));
                match why.and_then(|why| why.as_str()) {
                    Some(why) => format!("{what}: {why}"),
                    None => what.into(),
                }
            }
            Cause::DeadlinePassed => "the saga's deadline passed".into(),
        };
        let detail = detail.filter(|_| step.is_some());
        Reason { cause: cause.as_str().into(), step: step.map(str::to_owned), text, detail }
    }
}
