//! Workers whose effects are outside: prepare, call, record, as the SDK does it, around the real
//! barrier. A crash between any two of them, and calls that arrive when nobody waits any more.

use crate::{
    agenda::{MILLISECOND, Micros, SECOND},
    faults::Fault,
    leg::LegKey,
    locks::Key,
    outside::Word,
    participant::{ABANDONED, Change, INTENT, answer},
    sabotage::Sabotage,
    task::{Errand, Flow, Phase, Stage, Task, TaskId, Then, Work},
    workers::leg_keys,
    world::{Call, Happening, World},
};
use contracts::{Leg, Outcome};
use worker::{
    barrier::{self, Verdict},
    fate::Nature,
};

/// Calls in a row within the process.
const CALLS: u8 = 3;
/// For one call.
const LIMIT: Micros = 10 * SECOND;

impl World {
    pub fn run_errand(&mut self, id: TaskId, task: &mut Task) -> Flow {
        let Work::Errand(errand) = &mut task.work else { return Flow::Finished };
        match task.stage {
            Stage::Begin if self.is_database_down(errand.participant) => self.try_later(),
            Stage::Begin => {
                task.keys = match errand.phase {
                    Phase::Prepare => leg_keys(errand.job.key),
                    Phase::Record => vec![Key::Leg(errand.job.key)],
                };
                task.rolled_back = false;
                task.stage = Stage::Lock;
                self.lock_errand(id, task)
            }
            Stage::Lock => self.lock_errand(id, task),
            Stage::Commit => self.commit_errand(id, task),
            Stage::Call => {
                self.call(id, task);
                Flow::Wait
            }
            Stage::Publish => Flow::Publish,
        }
    }

    fn lock_errand(&mut self, id: TaskId, task: &mut Task) -> Flow {
        if !self.sabotaged(Sabotage::NoRowLockInInbox) && !self.locks.take(id, &task.keys) {
            return Flow::Wait;
        }
        let Work::Errand(errand) = &mut task.work else { return Flow::Finished };
        errand.changes.clear();
        errand.then = match errand.phase {
            Phase::Prepare => self.prepare(errand),
            Phase::Record => self.record(errand),
        };
        task.stage = Stage::Commit;
        Flow::After(self.latency())
    }

    fn prepare(&mut self, errand: &mut Errand) -> Then {
        let key = errand.job.key;
        match self.verdict(errand.participant, key) {
            Verdict::Replay => {
                self.tally.count(Fault::Replayed);
                let row = self.databases[errand.participant].seen(key);
                Then::Answer(row.and_then(|row| row.outcome).unwrap_or(Outcome::Refused))
            }
            Verdict::Refuse => {
                self.tally.count(Fault::TooLate);
                Then::Answer(Outcome::Refused)
            }
            Verdict::Resume => {
                self.tally.count(Fault::ResumedCall);
                Then::Call
            }
            Verdict::NothingToUndo => {
                errand.changes.extend(self.bury(errand.participant, key));
                errand.changes.push(Change::Row(key, answer(Outcome::Done)));
                Then::Answer(Outcome::Done)
            }
            Verdict::Settle => {
                self.tally.count(Fault::Settled);
                errand.changes.push(Change::Row(key.action(), ABANDONED));
                self.intend(errand)
            }
            Verdict::Run => self.intend(errand),
        }
    }

    fn intend(&mut self, errand: &mut Errand) -> Then {
        let key = errand.job.key;
        match self.handler(&errand.job) {
            Err(nature) => {
                errand.changes.clear();
                Then::Fault(nature)
            }
            // Mostly it is the other side that declines.
            Ok(Outcome::Refused) if self.random.chance(3_000) => {
                errand.changes.push(Change::Row(key, answer(Outcome::Refused)));
                Then::Answer(Outcome::Refused)
            }
            Ok(_) => {
                errand.changes.push(Change::Row(key, INTENT));
                Then::Call
            }
        }
    }

    fn record(&mut self, errand: &mut Errand) -> Then {
        let key = errand.job.key;
        let row = self.databases[errand.participant].seen(key);
        let outcome = match (barrier::record(row), errand.word) {
            (Verdict::Replay, _) => {
                self.tally.count(Fault::Replayed);
                return Then::Answer(row.and_then(|row| row.outcome).unwrap_or(Outcome::Refused));
            }
            (Verdict::Run, Some(Word::Yes)) => Outcome::Done,
            (Verdict::Run, _) if self.may_refuse(key) => Outcome::Refused,
            (Verdict::Run, _) => return Then::Fault(Nature::Permanent),
            _ => {
                self.tally.count(Fault::TooLate);
                return Then::Answer(Outcome::Refused);
            }
        };
        errand.changes.push(Change::Row(key, answer(outcome)));
        Then::Answer(outcome)
    }

    fn commit_errand(&mut self, id: TaskId, task: &mut Task) -> Flow {
        if self.strikes(Fault::WorkerCrashBeforeCommit) {
            return Flow::Crash;
        }
        let Work::Errand(errand) = &mut task.work else { return Flow::Finished };
        if self.commit_fails(errand.participant, task.rolled_back) {
            return self.roll_back(id, task);
        }
        let changes = std::mem::take(&mut errand.changes);
        self.apply(errand.participant, &changes);
        if self.strikes(Fault::WorkerCommitInDoubt) {
            return self.roll_back(id, task);
        }
        let (job, participant, then) = (errand.job.clone(), errand.participant, errand.then);
        self.release(id, task);
        task.letters = match then {
            Then::Call => {
                task.stage = Stage::Call;
                return Flow::After(0);
            }
            Then::Answer(outcome) => self.answer(&job, outcome),
            Then::Fault(nature) => self.dispose(task.process, participant, &job, nature),
        };
        if self.sabotaged(Sabotage::AckBeforePublish) {
            self.broker.acknowledge(&task.tags);
        }
        if self.strikes(Fault::WorkerCrashAfterCommit) {
            return Flow::Crash;
        }
        Flow::Publish
    }

    /// On its way to the other side, which may hear of it late or never.
    fn call(&mut self, id: TaskId, task: &Task) {
        let Work::Errand(Errand { job, .. }) = &task.work else { return };
        let call = Call {
            key: job.key,
            needs: self.needs(job.key),
            may_be_declined: self.may_refuse(job.key),
        };
        let turn = task.turn;
        let ends = |word, silent| Happening::CallEnds { task: id, turn, word, silent };
        if self.now < self.outside_down_until || self.strikes(Fault::CallRejected) {
            let delay = self.latency();
            return self.after(delay, ends(None, false));
        }
        if self.strikes(Fault::CallLost) {
            return self.after(LIMIT, ends(None, true));
        }
        let delay = self.latency();
        if self.strikes(Fault::CallLate) {
            let delay = LIMIT + self.random.between(0, 200 * SECOND);
            self.after(delay, Happening::CallArrives { call, to: None });
            return self.after(LIMIT, ends(None, true));
        }
        if self.strikes(Fault::CallAnswerLost) {
            self.after(delay, Happening::CallArrives { call, to: None });
            return self.after(LIMIT, ends(None, true));
        }
        self.after(delay, Happening::CallArrives { call, to: Some((id, turn)) });
    }

    /// The capture of the order saga takes what its authorisation set aside.
    fn needs(&self, key: LegKey) -> Option<LegKey> {
        let plan = self.sagas[key.saga].definition.plan();
        let (_, spec) = plan.steps().nth(key.step)?;
        let needed = (spec.action.command == "payment.capture").then_some("authorise-payment")?;
        Some(LegKey { step: plan.index(needed)?.get(), ..key })
    }

    pub fn call_arrives(&mut self, call: Call, to: Option<(TaskId, u32)>) {
        let Call { key, needs, may_be_declined } = call;
        let word = match key.leg {
            Leg::Action => {
                let declined = may_be_declined && self.random.chance(self.refusals / 2);
                self.ledger.act(key, needs, declined)
            }
            Leg::Compensation => {
                if self.ledger.void(key.action()) {
                    self.tally.count(Fault::VoidOfNeverSeen);
                }
                Word::Yes
            }
        };
        self.tell(key.saga, || format!("outside: {:?} of step {}: {word:?}", key.leg, key.step));
        if let Some((task, turn)) = to {
            let delay = self.latency();
            let ends = Happening::CallEnds { task, turn, word: Some(word), silent: false };
            self.after(delay, ends);
        }
    }

    pub fn call_ends(&mut self, id: TaskId, turn: u32, word: Option<Word>, silent: bool) {
        let Some(task) = self.tasks.get(&id).filter(|task| task.turn == turn) else { return };
        let until = self.processes[task.process].stalled_until;
        if until > self.now {
            let ends = Happening::CallEnds { task: id, turn, word, silent };
            return self.enter(until, ends);
        }
        let Some(mut task) = self.tasks.remove(&id) else { return };
        task.turn += 1;
        let flow = self.called(&mut task, word, silent);
        self.follow(id, task, flow);
    }

    fn called(&mut self, task: &mut Task, mut word: Option<Word>, silent: bool) -> Flow {
        let Work::Errand(errand) = &mut task.work else { return Flow::Finished };
        let action = errand.job.key.leg == Leg::Action;
        if silent && action && self.sabotaged(Sabotage::CallTimeoutAsRefusal) {
            word = Some(Word::No);
        }
        if word.is_some() {
            if self.strikes(Fault::WorkerCrashAfterCall) {
                return Flow::Crash;
            }
            errand.word = word;
            errand.phase = Phase::Record;
            task.stage = Stage::Begin;
            return Flow::After(0);
        }
        errand.calls += 1;
        if errand.calls < CALLS {
            return Flow::After(self.random.between(50 * MILLISECOND, SECOND));
        }
        let (job, participant) = (errand.job.clone(), errand.participant);
        task.letters = self.dispose(task.process, participant, &job, Nature::Transient);
        Flow::Publish
    }
}
