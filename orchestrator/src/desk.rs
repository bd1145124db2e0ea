//! The sagas of one transaction: what each occurrence makes of them.

use crate::{
    engine::{Occurrence, Verdict},
    journal::Line,
    record::Record,
    stored,
};
use contracts::{CommandEnvelope, Leg, Outcome, ReplyEnvelope, SagaId, StartEnvelope};
use saga_core::{Catalogue, Effect, Event, Ignored, MappingError, StepIndex};
use std::collections::{BTreeMap, BTreeSet};
use time::OffsetDateTime;

/// The sagas of one transaction.
pub struct Desk<'a> {
    catalogue: &'a Catalogue,
    now: OffsetDateTime,
    pub records: BTreeMap<SagaId, Record>,
    /// Inserted by this transaction.
    new: BTreeSet<SagaId>,
    /// Sagas of definitions that this build does not know.
    foreign: BTreeMap<SagaId, String>,
    /// To be stored.
    pub moved: BTreeSet<SagaId>,
    /// Legs whose commands are sent (again), as far as they are still waited for.
    sends: BTreeSet<(SagaId, StepIndex)>,
    pub lines: Vec<Line>,
}

impl<'a> Desk<'a> {
    pub fn new(catalogue: &'a Catalogue, now: OffsetDateTime) -> Self {
        Desk {
            catalogue,
            now,
            records: BTreeMap::new(),
            new: BTreeSet::new(),
            foreign: BTreeMap::new(),
            moved: BTreeSet::new(),
            sends: BTreeSet::new(),
            lines: Vec::new(),
        }
    }

    /// Sagas to insert, one per id; starts that do not fit are left to [`Self::decide`].
    pub fn prepare_starts(&self, batch: &[Occurrence]) -> BTreeMap<SagaId, Record> {
        let mut starting = BTreeMap::new();
        for occurrence in batch {
            let Occurrence::Start(start) = occurrence else { continue };
            let Some(definition) = self.catalogue.newest(&start.definition) else { continue };
            let Ok(data) = definition.begin(start.saga, &start.body) else { continue };
            starting.entry(start.saga).or_insert_with(|| {
                let trace = start.traceparent.clone();
                Record::begin(start.saga, definition.clone(), data, trace, self.now)
            });
        }
        starting
    }

    pub fn take_new(&mut self, mut starting: BTreeMap<SagaId, Record>, new: BTreeSet<SagaId>) {
        starting.retain(|saga, _| new.contains(saga));
        self.records.append(&mut starting);
        self.new = new;
    }

    pub fn take_known(&mut self, rows: Vec<stored::Row>) {
        for row in rows {
            let saga = SagaId(row.id);
            match row.record(self.catalogue) {
                Ok(record) => {
                    self.records.insert(saga, record);
                }
                Err(why) => {
                    self.foreign.insert(saga, why.to_string());
                }
            }
        }
    }

    pub fn decide(&mut self, occurrence: &Occurrence) -> Verdict {
        let saga = occurrence.saga();
        if let Some(why) = self.foreign.get(&saga) {
            return Verdict::UnknownDefinition(why.clone());
        }
        match occurrence {
            Occurrence::Start(start) => self.start(start),
            Occurrence::Reply(reply) => self.reply(reply),
            Occurrence::ReplyAgain(reply) => {
                let verdict = self.reply(reply);
                if let Verdict::Ignored(_) = verdict {
                    // Perhaps it was handled before and its commands were not sent. No more than a
                    // hint: where it is missing, the wake-up sends them. A mere duplicate must not,
                    // or each answer to what is sent again would have the next command sent again.
                    self.send_outstanding(reply.saga);
                }
                verdict
            }
            Occurrence::Wake(_) => self.wake(saga),
            Occurrence::Cancel { reason, .. } => {
                self.ask(saga, Event::CancelRequested, "cancel-requested", reason)
            }
            Occurrence::Resume { reason, .. } => {
                self.ask(saga, Event::ResumeRequested, "resume-requested", reason)
            }
        }
    }

    fn start(&mut self, start: &StartEnvelope) -> Verdict {
        let Some(definition) = self.catalogue.newest(&start.definition) else {
            return Verdict::UnknownDefinition(format!("no definition {:?}", start.definition));
        };
        if let Err(misfit) = definition.begin(start.saga, &start.body) {
            return Verdict::Misfit(misfit.to_string());
        }
        // Perhaps it was started before and its commands were not sent.
        self.send_outstanding(start.saga);
        if !self.new.remove(&start.saga) {
            return Verdict::AlreadyStarted;
        }
        self.lines.push(Line {
            saga: start.saga,
            seq: 1,
            event: "started",
            step: None,
            leg: None,
            attempt: None,
            outcome: None,
            body: Some(start.body.clone()),
        });
        Verdict::Started
    }

    fn reply(&mut self, reply: &ReplyEnvelope) -> Verdict {
        let Some(record) = self.records.get_mut(&reply.saga) else {
            return Verdict::UnknownSaga;
        };
        let Some((step, event)) = record.event_of(reply) else {
            let ReplyEnvelope { kind, step, leg, .. } = reply;
            return Verdict::Misfit(format!("{kind} is not the {leg} of a step {step:?}"));
        };
        let learnt = match learn(record, step, reply) {
            Ok(learnt) => learnt,
            Err(misfit) => return Verdict::Misfit(misfit.to_string()),
        };
        let effects = match record.apply(event, Some(&reply.body), self.now) {
            Ok(effects) => effects,
            Err(ignored) => return Verdict::Ignored(ignored),
        };
        if let Some(data) = learnt {
            record.data = data;
        }
        let seq = record.revision;
        self.lines.push(Line {
            saga: reply.saga,
            seq,
            event: "replied",
            step: Some(reply.step.clone()),
            leg: Some(reply.leg),
            attempt: Some(reply.attempt),
            outcome: Some(reply.outcome),
            body: Some(reply.body.clone()),
        });
        self.moved(reply.saga, &effects)
    }

    fn wake(&mut self, saga: SagaId) -> Verdict {
        let Some(record) = self.records.get_mut(&saga) else { return Verdict::UnknownSaga };
        let mut effects = Vec::new();
        let mut moved = false;
        for event in record.due(self.now) {
            let applied = record.apply(event, None, self.now);
            if event == Event::DeadlinePassed {
                // It has had its say, whatever the core made of it.
                record.deadline = None;
                self.moved.insert(saga);
            }
            let Ok(applied) = applied else { continue };
            effects.extend(applied);
            moved = true;
            let plan = record.definition.plan();
            let (name, step, leg, attempt) = match event {
                Event::Woke { step, leg, attempt } => {
                    ("woke", Some(plan.step(step).name.to_owned()), Some(leg), Some(attempt))
                }
                _ => ("deadline-passed", None, None, None),
            };
            let seq = record.revision;
            self.lines.push(Line {
                saga,
                seq,
                event: name,
                step,
                leg,
                attempt,
                outcome: None,
                body: None,
            });
        }
        if moved { self.moved(saga, &effects) } else { Verdict::Ignored(Ignored::Stale) }
    }

    fn ask(&mut self, saga: SagaId, event: Event, name: &'static str, reason: &str) -> Verdict {
        let Some(record) = self.records.get_mut(&saga) else { return Verdict::UnknownSaga };
        let body = serde_json::json!({ "reason": reason }).to_string().into_bytes();
        let effects = match record.apply(event, Some(&body), self.now) {
            Ok(effects) => effects,
            Err(ignored) => return Verdict::Ignored(ignored),
        };
        let seq = record.revision;
        self.lines.push(Line {
            saga,
            seq,
            event: name,
            step: None,
            leg: None,
            attempt: None,
            outcome: None,
            body: Some(body),
        });
        self.moved(saga, &effects)
    }

    fn moved(&mut self, saga: SagaId, effects: &[Effect]) -> Verdict {
        self.moved.insert(saga);
        for effect in effects {
            if let Effect::Invoke { step, .. } = effect {
                self.sends.insert((saga, *step));
            }
        }
        Verdict::Moved
    }

    fn send_outstanding(&mut self, saga: SagaId) {
        let outstanding = self.records.get(&saga).map(Record::outstanding).unwrap_or_default();
        self.sends.extend(outstanding.into_iter().map(|wait| (saga, wait.step)));
    }

    /// The commands just decided on, and those that a crash may have kept from being sent.
    /// Participants know their duplicates.
    pub fn commands(&self) -> Vec<CommandEnvelope> {
        let mut commands = Vec::new();
        for (saga, step) in &self.sends {
            let Some(record) = self.records.get(saga) else { continue };
            for wait in record.outstanding().into_iter().filter(|wait| wait.step == *step) {
                match record.command(wait) {
                    Ok(command) => commands.push(command),
                    // The definition cannot say it; the wake-up gives up or parks the step in time.
                    Err(error) => tracing::error!(saga.id = %record.id, %error, "no command"),
                }
            }
        }
        commands
    }

    /// Tells logs and metrics what has happened.
    pub fn tell(&self) {
        for record in self.moved.iter().filter_map(|saga| self.records.get(saga)) {
            let definition = record.definition.plan().name();
            if record.state.is_open() {
                if let Some(step) = record.parked() {
                    tracing::warn!(saga.id = %record.id, definition, step, "saga parked");
                }
                continue;
            }
            let ending = record.state_word();
            let cause = record.reason.as_ref().map(|reason| reason.text.as_str());
            tracing::info!(saga.id = %record.id, definition, ending, cause, "saga ended");
            metrics::counter!("sagas_ended_total", "definition" => definition, "ending" => ending)
                .increment(1);
            let open = (self.now - record.created_at).as_seconds_f64();
            metrics::histogram!("saga_duration_seconds", "definition" => definition, "ending" => ending)
                .record(open);
        }
    }
}

/// The saga's data after a `done` reply to an action; `None` when it learns nothing.
fn learn(
    record: &Record,
    step: StepIndex,
    reply: &ReplyEnvelope,
) -> Result<Option<Vec<u8>>, MappingError> {
    match (reply.leg, reply.outcome) {
        (Leg::Action, Outcome::Done) => record.definition.learn(&record.data, step, &reply.body),
        _ => Ok(None),
    }
}
