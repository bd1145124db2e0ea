//! Orchestrators: their own [`Desk`] decides, between the row locks and the commit of a simulated
//! transaction; they may crash at each durable boundary.

use crate::{
    agenda::{MILLISECOND, Micros},
    broker::{Letter, Queue},
    faults::Fault,
    leg::{LegKey, number},
    locks::Key,
    participant::{body, number_of},
    sabotage::Sabotage,
    store::{Stored, instant},
    task::{Advance, Flow, Stage, Task, TaskId, Work},
    world::{Happening, Role, Verb, World},
};
use contracts::{CommandEnvelope, Leg, Outcome, ReplyEnvelope, SagaId, participant_of};
use orchestrator::{
    desk::Desk,
    engine::{Occurrence, Verdict},
    operator::{Ask, Wanted},
};
use saga_core::{Flight, Ignored, StepState};
use std::{collections::BTreeSet, rc::Rc};

/// Between two looks for due sagas.
const PAUSE: Micros = 250 * MILLISECOND;
const MOST_DUE: usize = 20;

impl World {
    pub fn advance(&mut self, id: TaskId, task: &mut Task) -> Flow {
        match task.stage {
            Stage::Begin if self.now < self.journal_down_until => self.try_later(),
            Stage::Begin => {
                self.begin_transaction(task);
                self.lock_and_decide(id, task)
            }
            Stage::Lock => self.lock_and_decide(id, task),
            Stage::Commit => self.commit(id, task),
            Stage::Call | Stage::Publish => Flow::Publish,
        }
    }

    fn begin_transaction(&mut self, task: &mut Task) {
        let Work::Advance(advance) = &mut task.work else { return };
        advance.at = self.now;
        let mut sagas = BTreeSet::new();
        for occurrence in &advance.batch {
            let saga = number(occurrence.saga());
            let starts = matches!(occurrence, Occurrence::Start(_));
            if starts || self.store.get(saga).is_some() {
                sagas.insert(saga);
            }
        }
        task.keys = sagas.into_iter().map(Key::Saga).collect();
        task.stage = Stage::Lock;
        task.rolled_back = false;
    }

    fn lock_and_decide(&mut self, id: TaskId, task: &mut Task) -> Flow {
        if !self.sabotaged(Sabotage::NoRowLock) && !self.locks.take(id, &task.keys) {
            self.tally.count(Fault::RowContended);
            return Flow::Wait;
        }
        let Work::Advance(advance) = &mut task.work else { return Flow::Finished };
        let commands = self.decide(advance);
        task.letters = Self::letters(commands);
        task.stage = Stage::Commit;
        if self.sabotaged(Sabotage::PublishBeforeCommit) {
            for (queue, letter) in &task.letters {
                self.send(*queue, letter.clone());
            }
        }
        Flow::After(self.latency())
    }

    /// As the engine does it, with the rows of the simulated store.
    fn decide(&mut self, advance: &mut Advance) -> Vec<CommandEnvelope> {
        let mut desk = Desk::new(&self.catalogue, instant(advance.at));
        let starting = desk.prepare_starts(&advance.batch);
        let new: BTreeSet<SagaId> = starting
            .keys()
            .copied()
            .filter(|saga| self.store.get(number(*saga)).is_none())
            .collect();
        desk.take_new(starting, new.clone());
        let known: BTreeSet<SagaId> = advance.batch.iter().map(Occurrence::saga).collect();
        let rows = known.difference(&new).filter_map(|saga| {
            let stored = self.store.get(number(*saga))?;
            Some(stored.row(*saga))
        });
        desk.take_known(rows);
        advance.verdicts = advance.batch.iter().map(|one| desk.decide(one)).collect();
        advance.rows = new
            .union(&desk.moved)
            .filter_map(|saga| Some((number(*saga), Stored::of(desk.records.get(saga)?))))
            .collect();
        let commands = desk.commands();
        advance.lines = desk.lines;
        commands
    }

    fn letters(commands: Vec<CommandEnvelope>) -> Vec<(Queue, Letter)> {
        let mut letters = Vec::with_capacity(commands.len());
        for command in commands {
            let queue = Queue::Commands(number_of(participant_of(&command.kind)));
            letters.push((queue, Letter::Command(Rc::new(command), 0)));
        }
        letters
    }

    /// Every attempt of a leg is the same request.
    fn remember_sent(&mut self, task: &Task) {
        for (_, letter) in &task.letters {
            let Letter::Command(command, _) = letter else { continue };
            let saga = number(command.saga);
            let Some(key) = LegKey::of(command, &self.sagas[saga].definition) else { continue };
            let first = self.sent.range((key, 0)..=(key, u16::MAX)).next();
            if first.is_some_and(|(_, first)| first.body != command.body) {
                self.violate(Some(saga), format!("{} is not what it was before", command.kind));
            }
            self.tell(saga, || format!("to be sent: {}", command.message_id()));
            self.sent.insert((key, command.attempt), command.clone());
        }
    }

    fn commit(&mut self, id: TaskId, task: &mut Task) -> Flow {
        if self.strikes(Fault::CrashBeforeCommit) {
            return Flow::Crash;
        }
        let down = self.now < self.journal_down_until;
        if down || task.rolled_back || self.strikes(Fault::CommitFailed) {
            self.release(id, task);
            task.stage = Stage::Begin;
            return Flow::After(self.random.between(20 * MILLISECOND, 500 * MILLISECOND));
        }
        let Work::Advance(advance) = &mut task.work else { return Flow::Finished };
        let rows = std::mem::take(&mut advance.rows);
        let lines = std::mem::take(&mut advance.lines);
        self.check_moves(&rows, &lines);
        for line in &lines {
            self.store.histories.entry(number(line.saga)).or_default().push(line.into());
        }
        for (saga, row) in rows {
            self.store.put(saga, row);
        }
        self.release(id, task);
        self.arrange_polls();
        if self.strikes(Fault::CommitInDoubt) {
            task.stage = Stage::Begin;
            return Flow::After(self.random.between(20 * MILLISECOND, 500 * MILLISECOND));
        }
        self.note_verdicts(task);
        self.remember_sent(task);
        if self.sabotaged(Sabotage::AckBeforePublish) {
            self.broker.acknowledge(&task.tags);
        }
        if self.strikes(Fault::CrashAfterCommit) {
            return Flow::Crash;
        }
        if self.sabotaged(Sabotage::PublishBeforeCommit) {
            task.letters.clear();
        }
        Flow::Publish
    }

    fn note_verdicts(&mut self, task: &Task) {
        let Work::Advance(advance) = &task.work else { return };
        for (occurrence, verdict) in advance.batch.iter().zip(&advance.verdicts) {
            let saga = number(occurrence.saga());
            let fault = match (occurrence, verdict) {
                (Occurrence::Ask(Ask { wanted: Wanted::Cancel, .. }), verdict) => match verdict {
                    Verdict::Moved => {
                        self.sagas[saga].cancel_honoured = true;
                        Fault::Cancelled
                    }
                    Verdict::Ignored(Ignored::PastPivot) => Fault::CancelRefused,
                    Verdict::Ignored(_) => Fault::CancelOverdue,
                    _ => continue,
                },
                (Occurrence::Ask(Ask { wanted: Wanted::Resume, .. }), Verdict::Moved) => {
                    Fault::Resumed
                }
                (Occurrence::Reply(_) | Occurrence::ReplyAgain(_), Verdict::Ignored(_)) => {
                    Fault::StaleAnswer
                }
                (Occurrence::Start(_), Verdict::AlreadyStarted) => Fault::StartedTwice,
                (
                    _,
                    Verdict::UnknownSaga
                    | Verdict::UnknownDefinition(_)
                    | Verdict::Misfit(_)
                    | Verdict::Unstorable(_),
                ) => {
                    self.violate(Some(saga), format!("{verdict:?} is said of {occurrence:?}"));
                    continue;
                }
                _ => continue,
            };
            self.tally.count(fault);
        }
    }

    pub fn ask(&mut self, saga: usize, verb: Verb) {
        let up = |at: &usize| {
            let process = &self.processes[*at];
            process.up && process.role == Role::Orchestrator && process.stalled_until <= self.now
        };
        let up: Vec<usize> = (0..self.processes.len()).filter(up).collect();
        if up.is_empty() {
            return self.after(500 * MILLISECOND, Happening::Ask { saga, verb });
        }
        let process = up[self.random.index(up.len())];
        self.tell(saga, || format!("asked for: {verb:?}"));
        let id = self.sagas[saga].id;
        let wanted = match verb {
            Verb::Cancel => Wanted::Cancel,
            Verb::Resume => Wanted::Resume,
        };
        let occurrence = Occurrence::Ask(Ask::new(id, wanted, "simulated"));
        let advance = Advance { batch: vec![occurrence], ..Advance::default() };
        self.begin(Task::new(process, Vec::new(), Work::Advance(advance)), MILLISECOND);
    }

    /// Looks for due sagas.
    pub fn poll(&mut self, process: usize, turn: u64) {
        let poller = &mut self.processes[process];
        if !poller.up || poller.poll_turn != turn {
            return;
        }
        if poller.stalled_until > self.now {
            let at = poller.stalled_until;
            return self.enter(at, Happening::Poll { process, turn });
        }
        let due = self.store.due(self.now, MOST_DUE);
        if due.is_empty() {
            return self.poll_after(process);
        }
        // Busy until the task has ended.
        poller.poll = Some(0);
        let batch = due.into_iter().map(|saga| self.wake(saga)).collect();
        let advance = Advance { batch, is_wakeup: true, ..Advance::default() };
        self.begin(Task::new(process, Vec::new(), Work::Advance(advance)), MILLISECOND);
    }

    fn wake(&mut self, saga: usize) -> Occurrence {
        self.tell(saga, || "wake-up".into());
        let id = self.sagas[saga].id;
        if self.sabotaged(Sabotage::LostWakeup) {
            self.store.forget_wake(saga);
        }
        if self.sabotaged(Sabotage::TimeoutAsRefusal)
            && let Some(no) = self.silence_as_refusal(saga)
        {
            return Occurrence::Reply(no);
        }
        Occurrence::Wake(id)
    }

    fn silence_as_refusal(&self, saga: usize) -> Option<ReplyEnvelope> {
        let row = self.store.get(saga)?;
        let plan = self.sagas[saga].definition.plan();
        let wait = row.state.waits().find(|wait| {
            let spent = matches!(row.state.step(wait.step), StepState::Acting(it) if it.left == 0);
            wait.flight == Flight::Sent && spent && plan.step(wait.step).kind.may_refuse()
        })?;
        let spec = plan.step(wait.step);
        Some(ReplyEnvelope {
            saga: self.sagas[saga].id,
            definition: plan.name().to_owned(),
            step: spec.name.to_owned(),
            leg: Leg::Action,
            attempt: wait.attempt,
            outcome: Outcome::Refused,
            kind: spec.action.command.to_owned(),
            from: None,
            traceparent: None,
            body: body(spec.action.command, Leg::Action, Outcome::Refused),
        })
    }

    /// Looks again after the pause, or when something is due.
    pub fn poll_after(&mut self, process: usize) {
        self.processes[process].poll = None;
        if let Some(wake) = self.store.next_wake() {
            self.poll_at(process, wake.max(self.now + PAUSE));
        }
    }

    /// A saga that is due earlier than anybody looks.
    fn arrange_polls(&mut self) {
        let Some(wake) = self.store.next_wake() else { return };
        for process in 0..self.processes.len() {
            let poller = &self.processes[process];
            let late = poller.poll.is_none_or(|at| at > wake + PAUSE);
            if poller.role == Role::Orchestrator && poller.up && late {
                let jitter = self.random.between(0, PAUSE);
                self.poll_at(process, wake.max(self.now) + jitter);
            }
        }
    }

    fn poll_at(&mut self, process: usize, at: Micros) {
        let poller = &mut self.processes[process];
        poller.poll = Some(at);
        poller.poll_turn += 1;
        let turn = poller.poll_turn;
        self.enter(at, Happening::Poll { process, turn });
    }
}
