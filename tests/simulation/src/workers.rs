//! Workers whose effects are in their database: the real barrier decides what to do with a
//! command, the real fate what becomes of one that faulted.

use crate::{
    agenda::MILLISECOND,
    broker::{Letter, Queue},
    faults::Fault,
    leg::LegKey,
    locks::Key,
    participant::{Change, TOMBSTONE, answer, body},
    sabotage::Sabotage,
    store::instant,
    task::{Flow, Job, Serve, Stage, Task, TaskId, Work},
    world::World,
};
use contracts::{Leg, Outcome, ReplyEnvelope};
use messaging::Tier;
use saga_core::StepKind;
use store::inbox::Kind;
use worker::{
    barrier::{self, Seen, Verdict},
    fate::{self, Fate, Nature},
};

/// Retry queues that a command may go through.
const RETRIES: u32 = 5;
/// Further tries within the process.
const SHORT_RETRIES: u8 = 2;

impl World {
    pub fn serve(&mut self, id: TaskId, task: &mut Task) -> Flow {
        let Work::Serve(serve) = &mut task.work else { return Flow::Finished };
        if task.stage == Stage::Begin {
            if self.is_database_down(serve.participant) {
                return self.try_later();
            }
            task.keys = vec![Key::Turn(serve.participant)];
            task.keys.extend(serve.jobs.iter().flat_map(|job| leg_keys(job.key)));
            task.keys.sort_unstable();
            task.rolled_back = false;
            task.stage = Stage::Lock;
        }
        if task.stage == Stage::Lock {
            if !self.sabotaged(Sabotage::NoRowLockInInbox) && !self.locks.take(id, &task.keys) {
                return Flow::Wait;
            }
            self.handle(serve);
            task.stage = Stage::Commit;
            return Flow::After(self.latency());
        }
        if self.strikes(Fault::WorkerCrashBeforeCommit) {
            return Flow::Crash;
        }
        let participant = serve.participant;
        if self.commit_fails(participant, task.rolled_back) {
            return self.roll_back(id, task);
        }
        let changes = std::mem::take(&mut serve.changes);
        self.apply(participant, &changes);
        if self.strikes(Fault::WorkerCommitInDoubt) {
            return self.roll_back(id, task);
        }
        self.release(id, task);
        self.answer_all(task)
    }

    pub fn commit_fails(&mut self, participant: usize, rolled_back: bool) -> bool {
        self.is_database_down(participant) || rolled_back || self.strikes(Fault::WorkerCommitFailed)
    }

    pub fn is_database_down(&self, participant: usize) -> bool {
        self.now < self.database_down_until[participant]
    }

    /// Nothing is held against a command while the database is away.
    pub fn try_later(&mut self) -> Flow {
        Flow::After(self.random.between(100 * MILLISECOND, 5_000 * MILLISECOND))
    }

    /// Does the transaction again from its beginning.
    pub fn roll_back(&mut self, id: TaskId, task: &mut Task) -> Flow {
        self.release(id, task);
        task.stage = Stage::Begin;
        Flow::After(self.random.between(20 * MILLISECOND, 500 * MILLISECOND))
    }

    fn handle(&mut self, serve: &mut Serve) {
        serve.changes.clear();
        serve.results.clear();
        for job in &serve.jobs {
            let result = self.handle_one(serve.participant, job, &mut serve.changes);
            serve.results.push(result);
        }
    }

    fn handle_one(
        &mut self,
        participant: usize,
        job: &Job,
        changes: &mut Vec<Change>,
    ) -> Result<Outcome, Nature> {
        let verdict = self.verdict(participant, job.key);
        let outcome = match verdict {
            Verdict::Replay => {
                self.tally.count(Fault::Replayed);
                let row = self.databases[participant].seen(job.key);
                return Ok(row.and_then(|row| row.outcome).unwrap_or(Outcome::Refused));
            }
            Verdict::Refuse => {
                self.tally.count(Fault::TooLate);
                return Ok(Outcome::Refused);
            }
            Verdict::NothingToUndo => {
                changes.extend(self.bury(participant, job.key));
                Outcome::Done
            }
            Verdict::Run | Verdict::Resume | Verdict::Settle => {
                let outcome = self.handler(job)?;
                let kind = self.kind(job.key);
                match (outcome, job.key.leg) {
                    (Outcome::Done, Leg::Action) if kind != StepKind::ReadOnly => {
                        changes.push(Change::Done(job.key));
                    }
                    (Outcome::Done, Leg::Compensation) => changes.push(Change::Undone(job.key)),
                    _ => {}
                }
                outcome
            }
        };
        changes.push(Change::Row(job.key, answer(outcome)));
        Ok(outcome)
    }

    /// What the barrier says to a command, given what the inbox holds.
    pub fn verdict(&mut self, participant: usize, key: LegKey) -> Verdict {
        let database = &self.databases[participant];
        let own = database.seen(key);
        let own =
            own.filter(|seen| !(self.sabotaged(Sabotage::NoInbox) && seen.kind == Kind::Answer));
        match key.leg {
            Leg::Action => barrier::action(own),
            Leg::Compensation => {
                let action: Option<Seen> = database.seen(key.action());
                match barrier::compensation(own, action) {
                    Verdict::Settle if self.sabotaged(Sabotage::NoSettlement) => {
                        Verdict::NothingToUndo
                    }
                    verdict => verdict,
                }
            }
        }
    }

    /// The tombstone of an action that was never begun.
    pub fn bury(&mut self, participant: usize, key: LegKey) -> Option<Change> {
        if self.databases[participant].seen(key.action()).is_some()
            || self.sabotaged(Sabotage::NoBarrier)
        {
            return None;
        }
        self.tally.count(Fault::Tombstone);
        Some(Change::Row(key.action(), TOMBSTONE))
    }

    /// What a service's own code makes of a command.
    pub fn handler(&mut self, job: &Job) -> Result<Outcome, Nature> {
        if self.strikes(Fault::Poison) {
            return Err(Nature::Unreadable);
        }
        if self.strikes(Fault::FaultPermanent) {
            return Err(Nature::Permanent);
        }
        if self.strikes(Fault::FaultTransient) {
            return Err(Nature::Transient);
        }
        let refused = self.may_refuse(job.key) && self.random.chance(self.refusals);
        Ok(if refused { Outcome::Refused } else { Outcome::Done })
    }

    pub fn kind(&self, key: LegKey) -> StepKind {
        let plan = self.sagas[key.saga].definition.plan();
        let step = plan.steps().nth(key.step);
        step.map_or(StepKind::Retriable, |(_, spec)| spec.kind)
    }

    pub fn may_refuse(&self, key: LegKey) -> bool {
        key.leg == Leg::Action && self.kind(key).may_refuse()
    }

    pub fn apply(&mut self, participant: usize, changes: &[Change]) {
        self.databases[participant].commit(changes);
        for change in changes {
            let (Change::Done(key) | Change::Undone(key)) = *change else { continue };
            let effect = self.databases[participant].effect(key.action());
            self.tell(key.saga, || format!("effect of step {}: {effect:?}", key.step));
            if effect.done > 1 || effect.undone > effect.done {
                let what = format!(
                    "step {} was done {} times, undone {} times",
                    key.step, effect.done, effect.undone
                );
                self.violate(Some(key.saga), what);
            }
        }
    }

    fn answer_all(&mut self, task: &mut Task) -> Flow {
        let Work::Serve(serve) = &mut task.work else { return Flow::Finished };
        let jobs = std::mem::take(&mut serve.jobs);
        let results = std::mem::take(&mut serve.results);
        let participant = serve.participant;
        for (job, result) in jobs.into_iter().zip(results) {
            match result {
                Ok(outcome) => task.letters.extend(self.answer(&job, outcome)),
                Err(nature) => {
                    task.tags.retain(|tag| *tag != job.tag);
                    self.fault(task.process, participant, job, nature);
                }
            }
        }
        if self.sabotaged(Sabotage::AckBeforePublish) {
            self.broker.acknowledge(&task.tags);
        }
        if self.strikes(Fault::WorkerCrashAfterCommit) {
            return Flow::Crash;
        }
        Flow::Publish
    }

    /// A faulted command goes on alone: again in a moment, or to its fate.
    fn fault(&mut self, process: usize, participant: usize, job: Job, nature: Nature) {
        let tags = vec![job.tag];
        if nature == Nature::Transient && job.tries < SHORT_RETRIES {
            let jobs = vec![Job { tries: job.tries + 1, ..job }];
            let serve = Serve { participant, jobs, changes: Vec::new(), results: Vec::new() };
            self.begin(Task::new(process, tags, Work::Serve(serve)), 50 * MILLISECOND);
            return;
        }
        let mut task = Task::new(process, tags, Work::Send);
        task.letters = self.dispose(process, participant, &job, nature);
        self.begin(task, 0);
    }

    /// The reply to a command, and the event that tells of it.
    pub fn answer(&mut self, job: &Job, outcome: Outcome) -> Vec<(Queue, Letter)> {
        self.tell(job.key.saga, || format!("answered: {} {outcome}", job.command.message_id()));
        let body = body(&job.command.kind, job.key.leg, outcome);
        let reply = ReplyEnvelope::to(&job.command, outcome, body);
        let mut letters = vec![(Queue::Replies, Letter::Reply(reply.into(), false))];
        if outcome == Outcome::Done {
            letters.push((Queue::Events, Letter::Event(job.key)));
        }
        letters
    }

    /// What becomes of a command that faulted, by the clock of the process.
    pub fn dispose(
        &mut self,
        process: usize,
        participant: usize,
        job: &Job,
        nature: Nature,
    ) -> Vec<(Queue, Letter)> {
        let skew = time::Duration::microseconds(self.processes[process].skew);
        let now = instant(self.now) + skew;
        let fate = fate::of(nature, job.retries, RETRIES, job.command.deadline, now);
        self.tell(job.key.saga, || format!("faulted: {} {fate:?}", job.command.message_id()));
        match fate {
            Fate::Retry(tier) => {
                self.tally.count(Fault::Retried);
                let tier = Tier::ALL.iter().position(|one| *one == tier).unwrap_or_default();
                let queue = Queue::Retry(participant, u8::try_from(tier).unwrap_or_default());
                vec![(queue, Letter::Command(job.command.clone(), job.retries + 1))]
            }
            Fate::Spent | Fate::Hopeless | Fate::Poison => {
                self.tally.count(Fault::DeadLettered);
                let mut letters = vec![(Queue::DeadLetters, Letter::Dead)];
                if fate != Fate::Poison {
                    letters.extend(self.answer(job, Outcome::Faulted));
                }
                letters
            }
        }
    }
}

/// The rows that a command's transaction locks.
pub fn leg_keys(key: LegKey) -> Vec<Key> {
    match key.leg {
        Leg::Action => vec![Key::Leg(key)],
        Leg::Compensation => vec![Key::Leg(key.action()), Key::Leg(key)],
    }
}
