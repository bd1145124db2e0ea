//! The sagas of one transaction: what each occurrence makes of them.

use crate::{
    audit::Action,
    engine::{Occurrence, Verdict},
    journal::Line,
    operator::{self, Ask, Unacceptable, Wanted},
    record::Record,
    stored,
    tally::Tally,
};
use contracts::{CommandEnvelope, Leg, Outcome, ReplyEnvelope, SagaId, StartEnvelope};
use runtime::trace;
use saga_core::{Catalogue, Effect, Event, Ignored, MappingError, StepIndex, Verb};
use std::collections::{BTreeMap, BTreeSet};
use time::OffsetDateTime;

/// The sagas of one transaction.
pub struct Desk<'a> {
    catalogue: &'a Catalogue,
    /// By the database's clock.
    pub now: OffsetDateTime,
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
    tally: Tally,
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
            tally: Tally::default(),
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

    pub fn take_known(&mut self, rows: impl IntoIterator<Item = stored::Row>) {
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
            Occurrence::Ask(ask) => self.ask(ask),
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
        if let Some(record) = self.records.get(&start.saga) {
            let plan = record.definition.plan();
            self.tally.started(plan);
            record.state.waits().for_each(|wait| self.tally.asked(plan, wait.step, wait.leg));
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
        let asked_at = record.asked_at(step, reply.leg);
        let effects = match record.apply(event, Some(&reply.body), self.now) {
            Ok(effects) => effects,
            Err(ignored) => return Verdict::Ignored(ignored),
        };
        let took = asked_at.map(|at| (self.now - at).as_seconds_f64().max(0.0));
        let plan = record.definition.plan();
        self.tally.answered(plan, step, reply.leg, reply.outcome, took);
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

    fn ask(&mut self, ask: &Ask) -> Verdict {
        let saga = ask.saga;
        let Some(record) = self.records.get_mut(&saga) else { return Verdict::UnknownSaga };
        let verb = match ask.wanted.verb(record) {
            Ok(verb) => verb,
            Err(wrong) => return Verdict::Unacceptable(wrong),
        };
        if let Err(ignored) = record.allows(verb) {
            return Verdict::Ignored(ignored);
        }
        let learnt = match assume(record, verb, &ask.wanted) {
            Ok(learnt) => learnt,
            Err(misfit) => {
                let wrong = Unacceptable { field: "value", why: misfit.to_string() };
                return Verdict::Unacceptable(wrong);
            }
        };
        let meant = match verb {
            Verb::Retry { step, leg } | Verb::Skip { step, leg } => Some((step, leg)),
            Verb::Cancel | Verb::Resume | Verb::ForceCompensate => None,
        };
        let attempt = record.state.waits().find(|wait| Some((wait.step, wait.leg)) == meant);
        let body = ask.body();
        let effects = match record.apply(verb.event(), Some(&body), self.now) {
            Ok(effects) => effects,
            Err(ignored) => return Verdict::Ignored(ignored),
        };
        if let Some(data) = learnt {
            record.data = data;
        }
        let plan = record.definition.plan();
        self.lines.push(Line {
            saga,
            seq: record.revision,
            event: ask.wanted.event(),
            step: meant.map(|(step, _)| plan.step(step).name.to_owned()),
            leg: meant.map(|(_, leg)| leg),
            attempt: attempt.map(|wait| wait.attempt),
            outcome: None,
            body: Some(body),
        });
        self.moved(saga, &effects)
    }

    /// The audit rows of what operators asked for in this batch.
    pub fn actions(&self, batch: &[Occurrence], verdicts: &[Verdict]) -> Vec<Action> {
        let asked = batch.iter().zip(verdicts).filter_map(|(occurrence, verdict)| {
            let Occurrence::Ask(ask) = occurrence else { return None };
            Some(Action {
                audit_id: ask.audit,
                at: self.now,
                by: ask.by.clone(),
                verb: ask.wanted.as_str().to_owned(),
                reason: ask.reason.clone(),
                saga_id: Some(ask.saga.0),
                dead_letter: None,
                filter: None,
                accepted: matches!(verdict, Verdict::Moved),
                text: self.outcome(ask.saga, verdict),
            })
        });
        asked.collect()
    }

    /// What came of a verb, for people.
    fn outcome(&self, saga: SagaId, verdict: &Verdict) -> String {
        match (verdict, self.records.get(&saga)) {
            (Verdict::Moved, Some(record)) => {
                let plan = record.definition.plan();
                let sent: Vec<_> = record
                    .outstanding()
                    .into_iter()
                    .filter(|wait| self.sends.contains(&(saga, wait.step)))
                    .filter_map(|wait| {
                        let command = plan.leg(wait.step, wait.leg)?.command;
                        Some(format!("{command} (attempt {})", wait.attempt))
                    })
                    .collect();
                let state = record.state_word();
                match sent[..] {
                    [] => state.to_owned(),
                    _ => format!("{state}; sent {}", sent.join(", ")),
                }
            }
            (Verdict::Ignored(ignored), _) => operator::why(*ignored).to_owned(),
            (Verdict::UnknownSaga, _) => "no such saga".to_owned(),
            (Verdict::Unacceptable(Unacceptable { field, why }), _) => format!("{field} {why}"),
            (Verdict::UnknownDefinition(why), _) => why.clone(),
            (other, _) => format!("{other:?}"),
        }
    }

    fn moved(&mut self, saga: SagaId, effects: &[Effect]) -> Verdict {
        self.moved.insert(saga);
        for effect in effects {
            if let Effect::Invoke { step, leg, .. } = effect {
                self.sends.insert((saga, *step));
                if let Some(record) = self.records.get(&saga) {
                    self.tally.asked(record.definition.plan(), *step, *leg);
                }
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

    /// The `traceparent` of each occurrence's saga.
    pub fn traces(&self, batch: &[Occurrence]) -> Vec<Option<String>> {
        let of = |one: &Occurrence| self.records.get(&one.saga())?.traceparent.clone();
        if trace::is_on() { batch.iter().map(of).collect() } else { Vec::new() }
    }

    /// Tells logs, metrics and traces what has happened, once it is committed.
    pub fn tell(mut self) {
        if tracing::enabled!(tracing::Level::DEBUG) {
            for line in &self.lines {
                self.tell_line(line);
            }
        }
        for record in self.moved.iter().filter_map(|saga| self.records.get(saga)) {
            let plan = record.definition.plan();
            let definition = plan.name();
            let trace_id = trace::id(record.traceparent.as_deref());
            if record.state.is_open() {
                if let Some(wait) = record.state.parked() {
                    let step = plan.step(wait.step).name;
                    tracing::warn!(
                        saga.id = %record.id, trace_id, saga.definition = definition,
                        saga.step = step, saga.leg = wait.leg.as_str(), saga.attempt = wait.attempt,
                        "{definition} is parked at the {} of {step}", wait.leg
                    );
                }
                continue;
            }
            let ending = record.state_word();
            let cause = record.reason.as_ref().map(|reason| reason.text.as_str());
            let duration_s = (self.now - record.created_at).as_seconds_f64();
            tracing::info!(
                saga.id = %record.id, trace_id, saga.definition = definition, ending, cause,
                duration_s, "{definition} {ending}"
            );
            self.tally.ended(plan, ending, duration_s);
            record.trace_ending();
        }
        self.tally.count();
    }

    /// One line for each line of a history.
    fn tell_line(&self, line: &Line) {
        let Some(record) = self.records.get(&line.saga) else { return };
        let definition = record.definition.plan().name();
        let trace_id = trace::id(record.traceparent.as_deref());
        let (step, leg) = (line.step.as_deref(), line.leg.map(Leg::as_str));
        let outcome = line.outcome.map(Outcome::as_str);
        let words = [step, leg, outcome].into_iter().flatten().map(|word| format!(" {word}"));
        tracing::debug!(
            saga.id = %line.saga, trace_id, saga.definition = definition, saga.step = step,
            saga.leg = leg, saga.attempt = line.attempt, event = line.event, outcome,
            seq = line.seq, "{definition} {}{}", line.event, words.collect::<String>()
        );
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

/// The saga's data once the value that an operator vouches for is learnt; `None` when there is
/// nothing to learn.
fn assume(record: &Record, verb: Verb, wanted: &Wanted) -> Result<Option<Vec<u8>>, MappingError> {
    let (Verb::Skip { step, leg }, Wanted::Skip(_, value)) = (verb, wanted) else {
        return Ok(None);
    };
    let value = value.to_string().into_bytes();
    record.definition.fits(step, leg, &value)?;
    match leg {
        Leg::Action => record.definition.learn(&record.data, step, &value),
        Leg::Compensation => Ok(None),
    }
}
