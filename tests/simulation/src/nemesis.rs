//! What happens to the world from outside: crashes, cuts, stalls, outages, clocks that jump, people
//! who start, cancel and resume sagas; and the end of all that, after which everything must heal.

use crate::{
    agenda::{MILLISECOND, Micros, SECOND},
    broker::{Letter, Queue, Upset},
    faults::Fault,
    participant::NAMES,
    task::{Stage, Task, Work},
    world::{Happening, Role, Verb, World},
};
use contracts::StartEnvelope;

/// The broker misses a stalled client after this long.
const HEARTBEAT: Micros = 10 * SECOND;
/// The database ends an idle transaction after this long.
const IDLE: Micros = 10 * SECOND;
/// After the healing, every saga has ended by then.
const HEALING: Micros = 12 * 3_600 * SECOND;

impl World {
    pub fn nemesis(&mut self) {
        if self.healed {
            return;
        }
        for fault in [
            Fault::BrokerCrash,
            Fault::ConnectionCut,
            Fault::OutsideDown,
            Fault::JournalDown,
            Fault::DatabaseDown,
            Fault::Killed,
            Fault::Stalled,
            Fault::ClockJump,
        ] {
            if self.strikes(fault) {
                self.strike(fault);
            }
        }
        let pause = self.random.between(200 * MILLISECOND, 10 * SECOND);
        self.after(pause, Happening::Nemesis);
    }

    fn strike(&mut self, fault: Fault) {
        // The client stands for an outbox, whose crashes only repeat messages.
        let process = 1 + self.random.index(self.processes.len() - 1);
        self.tell_all(|| format!("{} ({process})", fault.text()));
        match fault {
            Fault::BrokerCrash => self.crash_broker(),
            Fault::ConnectionCut => self.cut(process),
            Fault::OutsideDown => {
                self.outside_down_until = self.now + self.random.between(SECOND, 60 * SECOND);
            }
            Fault::JournalDown => {
                self.journal_down_until = self.now + self.random.between(SECOND, 30 * SECOND);
            }
            Fault::DatabaseDown => {
                let participant = self.random.index(NAMES.len());
                let until = self.now + self.random.between(SECOND, 60 * SECOND);
                self.database_down_until[participant] = until;
            }
            Fault::Killed => self.crash(process),
            Fault::Stalled => self.stall(process),
            Fault::ClockJump => {
                let hours = self.random.between(0, 7_200 * SECOND);
                self.processes[process].skew = hours.cast_signed() - (3_600 * SECOND).cast_signed();
            }
            _ => {}
        }
    }

    fn crash_broker(&mut self) {
        let back = self.now + self.random.between(100 * MILLISECOND, 20 * SECOND);
        let upset = self.broker.crash(back);
        self.settle(upset, back - self.now);
    }

    fn cut(&mut self, process: usize) {
        let upset = self.broker.disconnect(process);
        self.settle(upset, MILLISECOND);
    }

    /// What was held is offered again.
    fn settle(&mut self, mut upset: Upset, delay: Micros) {
        self.tally.add(Fault::Redelivered, upset.redelivered);
        upset.queues.sort_unstable();
        upset.queues.dedup();
        for queue in upset.queues {
            self.after(delay, Happening::Offer(queue));
        }
    }

    /// A process that is killed loses everything that it was in the middle of.
    pub fn crash(&mut self, process: usize) {
        self.processes[process].up = false;
        let gone: Vec<u64> = self
            .tasks
            .iter()
            .filter(|(_, task)| task.process == process)
            .map(|(id, _)| *id)
            .collect();
        for id in gone {
            if let Some(mut task) = self.tasks.remove(&id) {
                self.release(id, &mut task);
            }
        }
        self.tell_all(|| format!("process {process} is dead"));
        self.cut(process);
        let most = if self.random.chance(1_500) { 300 } else { 10 };
        let pause = self.random.between(100 * MILLISECOND, most * SECOND);
        self.after(pause, Happening::Restart(process));
    }

    pub fn restart(&mut self, process: usize) {
        if self.processes[process].up {
            return;
        }
        self.processes[process].up = true;
        self.processes[process].stalled_until = 0;
        self.attend(process);
    }

    /// The process is there again: it consumes, and looks for due sagas.
    fn attend(&mut self, process: usize) {
        let queues: &[Queue] = match self.processes[process].role {
            Role::Orchestrator => {
                self.poll_after(process);
                &[Queue::Starts, Queue::Replies]
            }
            Role::Worker(participant) => &[Queue::Commands(participant)],
            Role::Client => &[],
        };
        for queue in queues {
            self.after(MILLISECOND, Happening::Offer(*queue));
        }
    }

    /// The process stands still, while the world does not; then it goes on as if nothing had been.
    fn stall(&mut self, process: usize) {
        let pause = self.random.between(SECOND, 40 * SECOND);
        self.processes[process].stalled_until = self.now + pause;
        if pause > IDLE {
            let idle: Vec<u64> = self
                .tasks
                .iter()
                .filter(|(_, task)| task.process == process)
                .map(|(id, _)| *id)
                .collect();
            for id in idle {
                let Some(mut task) = self.tasks.remove(&id) else { continue };
                if matches!(task.stage, Stage::Lock | Stage::Commit) {
                    task.rolled_back = true;
                    self.release(id, &mut task);
                }
                if task.stage == Stage::Lock {
                    // It waited in line, and its place is gone with its transaction.
                    task.stage = Stage::Begin;
                    task.turn += 1;
                    self.after(pause, Happening::Step(id, task.turn));
                }
                self.tasks.insert(id, task);
            }
        }
        if pause > HEARTBEAT {
            self.cut(process);
        }
        // Whatever was ready for it alone.
        for queue in [Queue::Starts, Queue::Replies] {
            self.after(pause + MILLISECOND, Happening::Offer(queue));
        }
        if let Role::Worker(participant) = self.processes[process].role {
            self.after(pause + MILLISECOND, Happening::Offer(Queue::Commands(participant)));
        }
    }

    /// The order is accepted: from here on its saga may not be lost.
    pub fn place(&mut self, saga: usize) {
        let placed = &mut self.sagas[saga];
        placed.placed = true;
        let definition = placed.definition.plan().name();
        let body = match definition {
            "place-order" => INPUT,
            _ => "null",
        };
        let start = StartEnvelope {
            saga: placed.id,
            definition: definition.to_owned(),
            traceparent: None,
            body: body.as_bytes().to_vec(),
        };
        self.tell(saga, || format!("placed: {definition}"));
        let mut task = Task::new(0, Vec::new(), Work::Send);
        task.letters = vec![(Queue::Starts, Letter::Start(start.into()))];
        self.begin(task, 0);
    }

    /// An operator looks at what is parked: now and then, and after the healing for certain.
    pub fn operate(&mut self) {
        let parked: Vec<usize> = self
            .store
            .rows()
            .filter(|(_, row)| row.parked.is_some())
            .map(|(saga, _)| saga)
            .collect();
        for saga in parked {
            if self.healed || self.random.chance(1_000) {
                self.ask(saga, Verb::Resume);
            }
        }
        let all_over = (0..self.sagas.len())
            .all(|saga| self.store.get(saga).is_some_and(|row| !row.state.is_open()));
        if self.healed && (all_over || self.now > HEALING) {
            return;
        }
        self.after(30 * SECOND, Happening::Operate);
    }

    /// From here on nothing goes wrong any more.
    pub fn heal(&mut self) {
        self.healed = true;
        self.tell_all(|| "healed".into());
        self.broker.down_until = self.broker.down_until.min(self.now);
        self.outside_down_until = 0;
        self.journal_down_until = 0;
        self.database_down_until.fill(0);
        for process in 0..self.processes.len() {
            self.processes[process].skew = 0;
            self.processes[process].stalled_until = 0;
            self.restart(process);
        }
        for participant in 0..NAMES.len() {
            self.after(MILLISECOND, Happening::Offer(Queue::Commands(participant)));
        }
        for queue in [Queue::Starts, Queue::Replies] {
            self.after(MILLISECOND, Happening::Offer(queue));
        }
    }
}

const INPUT: &str = r#"{
    "customer_id": "cust_123",
    "lines": [{ "product_id": "prod_001", "quantity": 2 }],
    "total": { "amount": 1234, "currency": "EUR" },
    "payment_method": "card_ok",
    "ship_to": { "country": "DE" }
}"#;
