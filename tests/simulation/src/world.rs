//! The world: processes, broker, databases, the outside, and the one loop that moves time.

use crate::{
    agenda::{Agenda, MILLISECOND, Micros, SECOND},
    broker::{Broker, Letter, Queue},
    check::Violation,
    faults::{Fault, Rates, Tally},
    leg::{LegKey, saga_id},
    locks::Locks,
    outside::{Ledger, Word},
    participant::{Database, NAMES},
    random::Random,
    sabotage::Sabotage,
    store::Store,
    task::{Flow, Stage, Task, TaskId, Work},
    timeline::Timeline,
};
use contracts::{CommandEnvelope, SagaId};
use saga_core::{Catalogue, Defined};
use std::{
    collections::{BTreeMap, HashSet},
    rc::Rc,
    sync::Arc,
};

/// A world that has not come to rest after so many happenings never will.
const PATIENCE: u64 = 400_000;

/// Everything that happens at a point of time.
#[derive(Debug)]
pub enum Happening {
    /// The queue may have something for a consumer.
    Offer(Queue),
    Arrive {
        queue: Queue,
        letter: Letter,
        epoch: u64,
        safe_at: Micros,
    },
    /// A message's time in its retry queue is over.
    Mature(usize, Letter),
    Step(TaskId, u32),
    /// The publishing of the task's letters has ended, confirmed or not.
    Published {
        task: TaskId,
        turn: u32,
        epoch: u64,
        confirmed: bool,
    },
    Poll {
        process: usize,
        turn: u64,
    },
    Restart(usize),
    CallArrives {
        call: Call,
        to: Option<(TaskId, u32)>,
    },
    CallEnds {
        task: TaskId,
        turn: u32,
        word: Option<Word>,
        silent: bool,
    },
    Place(usize),
    Ask {
        saga: usize,
        verb: Verb,
    },
    Nemesis,
    Operate,
    Heal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Cancel,
    Resume,
}

/// A call on its way to the outside.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    pub key: LegKey,
    pub needs: Option<LegKey>,
    pub may_be_declined: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Orchestrator,
    Worker(usize),
    /// Has accepted the orders, and sends their starts out of its outbox.
    Client,
}

#[derive(Debug)]
pub struct Process {
    pub role: Role,
    pub up: bool,
    pub stalled_until: Micros,
    /// How far its clock is off.
    pub skew: i64,
    /// An orchestrator's next look for due sagas.
    pub poll: Option<Micros>,
    pub poll_turn: u64,
}

pub struct Saga {
    pub id: SagaId,
    pub definition: Arc<dyn Defined>,
    pub placed: bool,
    pub cancel_honoured: bool,
}

pub struct World {
    pub now: Micros,
    agenda: Agenda<Happening>,
    pub random: Random,
    pub rates: Rates,
    /// Of ten thousand.
    pub refusals: u32,
    pub healed: bool,
    pub sabotage: Option<Sabotage>,
    pub tally: Tally,
    pub timeline: Timeline,
    pub broker: Broker,
    pub store: Store,
    pub databases: Vec<Database>,
    pub ledger: Ledger,
    pub outside_down_until: Micros,
    pub journal_down_until: Micros,
    pub database_down_until: [Micros; NAMES.len()],
    pub locks: Locks,
    pub processes: Vec<Process>,
    pub tasks: BTreeMap<TaskId, Box<Task>>,
    next_task: TaskId,
    pub catalogue: Catalogue,
    pub sagas: Vec<Saga>,
    /// Every command ever sent, by leg and attempt.
    pub sent: BTreeMap<(LegKey, u16), Rc<CommandEnvelope>>,
    /// Fingerprints of the states that sagas were in.
    pub states: HashSet<u64>,
    pub transitions: u64,
    pub violation: Option<Violation>,
}

impl World {
    pub fn new(seed: u64, sabotage: Option<Sabotage>, catalogue: &Catalogue, told: bool) -> Self {
        let mut random = Random::new(seed);
        let rates = Rates::draw(&mut random);
        let mut world = World {
            now: 0,
            agenda: Agenda::new(),
            rates,
            refusals: random.between(0, 1_200) as u32,
            random,
            healed: false,
            sabotage,
            tally: Tally::default(),
            timeline: Timeline::new(told),
            broker: Broker::default(),
            store: Store::default(),
            databases: NAMES.iter().map(|_| Database::default()).collect(),
            ledger: Ledger::default(),
            outside_down_until: 0,
            journal_down_until: 0,
            database_down_until: [0; NAMES.len()],
            locks: Locks::default(),
            processes: Vec::new(),
            tasks: BTreeMap::new(),
            next_task: 0,
            catalogue: catalogue.clone(),
            sagas: Vec::new(),
            sent: BTreeMap::new(),
            states: HashSet::new(),
            transitions: 0,
            violation: None,
        };
        world.populate();
        world
    }

    fn populate(&mut self) {
        let mut roles = vec![Role::Client];
        roles.extend((0..1 + self.random.index(3)).map(|_| Role::Orchestrator));
        for participant in 0..NAMES.len() {
            roles.extend((0..1 + self.random.index(2)).map(|_| Role::Worker(participant)));
        }
        let process =
            |role| Process { role, up: true, stalled_until: 0, skew: 0, poll: None, poll_turn: 0 };
        self.processes = roles.into_iter().map(process).collect();
        let trips = self.random.between(0, 10_000) as u32;
        let window = SECOND << self.random.index(7);
        for number in 0..4 + self.random.index(9) {
            let name = if self.random.chance(trips) { "trip" } else { "place-order" };
            let Some(definition) = self.catalogue.newest(name).cloned() else { continue };
            let id = saga_id(number, self.random.next());
            self.sagas.push(Saga { id, definition, placed: false, cancel_honoured: false });
            let at = self.random.between(0, window);
            self.enter(at, Happening::Place(number));
            if self.random.chance(2_000) {
                let after = 1 << self.random.between(10, 28);
                let ask = Happening::Ask { saga: number, verb: Verb::Cancel };
                let at = at + self.random.between(0, after);
                self.enter(at, ask);
            }
        }
        let chaos = window + self.random.between(5 * SECOND, 400 * SECOND);
        self.enter(SECOND, Happening::Nemesis);
        self.enter(20 * SECOND, Happening::Operate);
        self.enter(chaos, Happening::Heal);
    }

    /// Until nothing is left to happen, or something has gone wrong.
    pub fn run(&mut self) {
        let mut happened = 0;
        while self.violation.is_none() {
            let Some((at, what)) = self.agenda.next() else { return };
            self.now = self.now.max(at);
            happened += 1;
            if happened > PATIENCE {
                self.violate(None, "the world does not come to rest");
            }
            self.happen(what);
        }
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Offer(queue) => self.offer(queue),
            Happening::Arrive { queue, letter, epoch, safe_at } => {
                self.arrive(queue, letter, epoch, safe_at);
            }
            Happening::Mature(participant, letter) => self.mature(participant, letter),
            Happening::Step(task, turn) => self.step(task, turn),
            Happening::Published { task, turn, epoch, confirmed } => {
                self.published(task, turn, epoch, confirmed);
            }
            Happening::Poll { process, turn } => self.poll(process, turn),
            Happening::Restart(process) => self.restart(process),
            Happening::CallArrives { call, to } => self.call_arrives(call, to),
            Happening::CallEnds { task, turn, word, silent } => {
                self.call_ends(task, turn, word, silent);
            }
            Happening::Place(saga) => self.place(saga),
            Happening::Ask { saga, verb } => self.ask(saga, verb),
            Happening::Nemesis => self.nemesis(),
            Happening::Operate => self.operate(),
            Happening::Heal => self.heal(),
        }
    }

    pub fn enter(&mut self, at: Micros, what: Happening) {
        self.agenda.enter(at, what);
    }

    pub fn after(&mut self, delay: Micros, what: Happening) {
        self.agenda.enter(self.now + delay, what);
    }

    /// How long something ordinary takes.
    pub fn latency(&mut self) -> Micros {
        self.random.between(MILLISECOND / 5, 20 * MILLISECOND)
    }

    /// Whether the fault strikes at this chance; counted if it does.
    pub fn strikes(&mut self, fault: Fault) -> bool {
        let rate = self.rates.of(fault);
        let strikes = !self.healed && rate > 0 && self.random.chance(rate);
        if strikes {
            self.tally.count(fault);
        }
        strikes
    }

    pub fn sabotaged(&self, what: Sabotage) -> bool {
        self.sabotage == Some(what)
    }

    pub fn tell(&mut self, saga: usize, text: impl FnOnce() -> String) {
        self.timeline.tell(self.now, Some(saga), text);
    }

    pub fn tell_all(&mut self, text: impl FnOnce() -> String) {
        self.timeline.tell(self.now, None, text);
    }

    pub fn violate(&mut self, saga: Option<usize>, what: impl Into<String>) {
        if self.violation.is_none() {
            let what = what.into();
            self.timeline.tell(self.now, saga, || format!("VIOLATED: {what}"));
            self.violation = Some(Violation { saga, what });
        }
    }

    /// A new task, which takes its first step after this time.
    pub fn begin(&mut self, task: Task, delay: Micros) -> TaskId {
        self.next_task += 1;
        let id = self.next_task;
        self.tasks.insert(id, Box::new(task));
        self.after(delay, Happening::Step(id, 0));
        id
    }

    fn step(&mut self, id: TaskId, turn: u32) {
        let Some(task) = self.tasks.get(&id).filter(|task| task.turn == turn) else { return };
        let until = self.processes[task.process].stalled_until;
        if until > self.now {
            self.enter(until, Happening::Step(id, turn));
            return;
        }
        let Some(mut task) = self.tasks.remove(&id) else { return };
        task.turn += 1;
        let flow = match (task.stage, &task.work) {
            (Stage::Publish, _) | (_, Work::Send) => Flow::Publish,
            (_, Work::Advance(_)) => self.advance(id, &mut task),
            (_, Work::Serve(_)) => self.serve(id, &mut task),
            (_, Work::Errand(_)) => self.run_errand(id, &mut task),
        };
        self.follow(id, task, flow);
    }

    /// Puts the task back and does what is next for it.
    pub fn follow(&mut self, id: TaskId, mut task: Box<Task>, flow: Flow) {
        let (process, turn) = (task.process, task.turn);
        match flow {
            Flow::After(delay) => self.after(delay, Happening::Step(id, turn)),
            Flow::Wait => {}
            Flow::Publish => {
                task.stage = Stage::Publish;
                self.publish(id, &task);
            }
            Flow::Finished => {
                self.broker.acknowledge(&task.tags);
                self.release(id, &mut task);
                return self.finished(&task);
            }
            Flow::Crash => {
                self.tasks.insert(id, task);
                return self.crash(process);
            }
        }
        self.tasks.insert(id, task);
    }

    /// Gives the task's locks back; those who waited for them try again.
    pub fn release(&mut self, id: TaskId, task: &mut Task) {
        let keys = std::mem::take(&mut task.keys);
        for waiting in self.locks.give_back(id, &keys) {
            if let Some(turn) = self.tasks.get(&waiting).map(|task| task.turn) {
                let delay = self.random.between(1, MILLISECOND);
                self.after(delay, Happening::Step(waiting, turn));
            }
        }
    }

    fn finished(&mut self, task: &Task) {
        if let Work::Advance(advance) = &task.work
            && advance.is_wakeup
        {
            self.poll_after(task.process);
        }
    }
}
