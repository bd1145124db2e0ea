//! From a process to a queue: lost, doubled, late, and confirmed or not.

use crate::{
    agenda::{MILLISECOND, Micros, SECOND},
    broker::{Letter, Queue},
    faults::Fault,
    participant::is_outside,
    sabotage::Sabotage,
    task::{Advance, Errand, Flow, Job, Phase, Serve, Task, TaskId, Then, Work},
    world::{Happening, Process, Role, World},
};
use messaging::Tier;
use orchestrator::engine::Occurrence;

/// What a publisher waits for confirms.
const LIMIT: Micros = 5 * SECOND;

impl World {
    /// Sends everything that the task has to send, and waits for all confirms.
    pub fn publish(&mut self, id: TaskId, task: &Task) {
        let mut confirmed = true;
        let mut last = self.now;
        for (queue, letter) in &task.letters {
            if self.broker.is_down(self.now) || self.strikes(Fault::PublishLost) {
                confirmed = false;
                continue;
            }
            last = last.max(self.send(*queue, letter.clone()));
            if self.strikes(Fault::ConfirmLost) {
                confirmed = false;
            }
            if self.strikes(Fault::Duplicated) {
                self.send(*queue, letter.clone());
            }
        }
        if last > self.now + LIMIT {
            confirmed = false;
        }
        let mut at = if confirmed { last } else { self.now + LIMIT };
        if self.sabotaged(Sabotage::NoConfirm) {
            (confirmed, at) = (true, self.now);
        }
        let epoch = self.broker.epoch;
        self.enter(at, Happening::Published { task: id, turn: task.turn, epoch, confirmed });
    }

    /// On its way; when it is safe there.
    pub fn send(&mut self, queue: Queue, letter: Letter) -> Micros {
        let mut delay = self.latency();
        if self.strikes(Fault::Delayed) {
            delay += self.random.between(SECOND, 40 * SECOND);
        }
        let at = self.now + delay;
        let slow = self.random.chance(1_500);
        let safe_at = at + self.random.between(1, if slow { SECOND } else { 4 * MILLISECOND });
        let arrive = Happening::Arrive { queue, letter, epoch: self.broker.epoch, safe_at };
        self.enter(at, arrive);
        safe_at
    }

    /// The broker has it, and writes it down; only then does it confirm and deliver it.
    pub fn arrive(&mut self, queue: Queue, letter: Letter, epoch: u64, safe_at: Micros) {
        let crashed = epoch != self.broker.epoch;
        if self.now < safe_at {
            if !crashed && !self.broker.is_down(self.now) {
                self.enter(safe_at, Happening::Arrive { queue, letter, epoch, safe_at });
            }
            return;
        }
        // Perhaps it was just written.
        if crashed && self.random.chance(5_000) {
            self.tally.count(Fault::UnconfirmedLost);
            return;
        }
        if self.broker.is_down(self.now) {
            let at = self.broker.down_until;
            return self
                .enter(at, Happening::Arrive { queue, letter, epoch: self.broker.epoch, safe_at });
        }
        if let Queue::Retry(participant, tier) = queue {
            let tier = Tier::ALL[usize::from(tier)];
            let delay = u64::try_from(tier.delay().as_micros()).unwrap_or_default();
            self.after(delay, Happening::Mature(participant, letter));
            return;
        }
        self.broker.deposit(queue, letter);
        let delay = self.latency();
        self.after(delay, Happening::Offer(queue));
    }

    pub fn mature(&mut self, participant: usize, letter: Letter) {
        let queue = Queue::Commands(participant);
        self.broker.deposit(queue, letter);
        let at = self.now.max(self.broker.down_until);
        self.enter(at, Happening::Offer(queue));
    }

    pub fn published(&mut self, id: TaskId, turn: u32, epoch: u64, confirmed: bool) {
        let Some(task) = self.tasks.get(&id).filter(|task| task.turn == turn) else { return };
        let until = self.processes[task.process].stalled_until;
        if until > self.now {
            self.enter(until, Happening::Published { task: id, turn, epoch, confirmed });
            return;
        }
        let Some(mut task) = self.tasks.remove(&id) else { return };
        task.turn += 1;
        let lost = epoch != self.broker.epoch && !self.sabotaged(Sabotage::NoConfirm);
        let flow = match confirmed && !lost {
            false => {
                let delay = self.random.between(50 * MILLISECOND, SECOND);
                Flow::After(delay)
            }
            true if self.crashes_at_the_end(&task) => Flow::Crash,
            true => Flow::Finished,
        };
        self.follow(id, task, flow);
    }

    /// After the confirms, before the acknowledgement.
    fn crashes_at_the_end(&mut self, task: &Task) -> bool {
        match task.work {
            Work::Advance(_) => self.strikes(Fault::CrashAfterConfirm),
            Work::Serve(_) | Work::Errand(_) => self.strikes(Fault::WorkerCrashAfterPublish),
            Work::Send => false,
        }
    }

    /// Delivers some of what is ready to one of those who may have it.
    pub fn offer(&mut self, queue: Queue) {
        let ready = self.broker.ready(queue);
        if ready == 0 {
            return;
        }
        if self.broker.is_down(self.now) {
            self.enter(self.broker.down_until, Happening::Offer(queue));
            return;
        }
        let takes = |process: &Process| {
            process.up
                && process.stalled_until <= self.now
                && match (queue, process.role) {
                    (Queue::Starts | Queue::Replies, Role::Orchestrator) => true,
                    (Queue::Commands(of), Role::Worker(participant)) => of == participant,
                    _ => false,
                }
        };
        let takers: Vec<usize> =
            (0..self.processes.len()).filter(|at| takes(&self.processes[*at])).collect();
        if takers.is_empty() {
            return; // whoever comes back asks
        }
        let process = takers[self.random.index(takers.len())];
        let most = 1 + self.random.index(4);
        match queue {
            Queue::Commands(participant) => self.deliver_commands(participant, process, most),
            _ => self.deliver_occurrences(queue, process, most),
        }
        if self.broker.ready(queue) > 0 {
            let delay = self.latency();
            self.after(delay, Happening::Offer(queue));
        }
    }

    /// Which of the ready messages is next.
    fn next_in(&mut self, queue: Queue) -> usize {
        let ready = self.broker.ready(queue);
        match ready > 1 && self.strikes(Fault::Overtaken) {
            true => self.random.index(ready),
            false => 0,
        }
    }

    fn deliver_occurrences(&mut self, queue: Queue, process: usize, most: usize) {
        let (mut batch, mut tags) = (Vec::new(), Vec::new());
        for _ in 0..most {
            let at = self.next_in(queue);
            let Some(delivery) = self.broker.deliver(queue, at, process) else { break };
            tags.push(delivery.tag);
            batch.push(match delivery.letter {
                Letter::Start(start) => Occurrence::Start((*start).clone()),
                Letter::Reply(reply, false) => Occurrence::Reply((*reply).clone()),
                Letter::Reply(reply, true) => Occurrence::ReplyAgain((*reply).clone()),
                Letter::Command(..) | Letter::Event(_) | Letter::Dead => continue,
            });
        }
        let advance = Advance { batch, ..Advance::default() };
        self.begin(Task::new(process, tags, Work::Advance(advance)), MILLISECOND);
    }

    fn deliver_commands(&mut self, participant: usize, process: usize, most: usize) {
        let queue = Queue::Commands(participant);
        let mut jobs: Vec<Job> = Vec::new();
        for _ in 0..most {
            let at = self.next_in(queue);
            let Some(Letter::Command(command, retries)) = self.broker.look(queue, at) else {
                break;
            };
            let (command, retries) = (command.clone(), *retries);
            let saga = crate::leg::number(command.saga);
            let Some(key) = crate::leg::LegKey::of(&command, &self.sagas[saga].definition) else {
                self.violate(Some(saga), "a command of no step");
                return;
            };
            // The legs of one step do not share a transaction.
            if jobs.iter().any(|job| job.key.action() == key.action()) {
                break;
            }
            let Some(delivery) = self.broker.deliver(queue, at, process) else { break };
            jobs.push(Job { tag: delivery.tag, command, key, retries, tries: 0 });
        }
        if is_outside(participant) {
            for job in jobs {
                let tags = vec![job.tag];
                let errand = Errand {
                    participant,
                    job,
                    phase: Phase::Prepare,
                    calls: 0,
                    word: None,
                    changes: Vec::new(),
                    then: Then::Call,
                };
                self.begin(Task::new(process, tags, Work::Errand(errand)), MILLISECOND);
            }
        } else if !jobs.is_empty() {
            let tags = jobs.iter().map(|job| job.tag).collect();
            let serve = Serve { participant, jobs, changes: Vec::new(), results: Vec::new() };
            self.begin(Task::new(process, tags, Work::Serve(serve)), MILLISECOND);
        }
    }
}
