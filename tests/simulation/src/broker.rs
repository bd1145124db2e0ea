//! The broker: durable queues, deliveries that wait for their acknowledgement, and what a crash
//! does to both. As in a quorum queue, a message is here only once it is written down: what was still
//! on its way to that is with the [sender](crate::publishing).

use crate::{agenda::Micros, leg::LegKey};
use contracts::{CommandEnvelope, ReplyEnvelope, StartEnvelope};
use std::{
    collections::{BTreeMap, VecDeque},
    rc::Rc,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Queue {
    Starts,
    Replies,
    /// Of a participant, by its number.
    Commands(usize),
    /// Of a participant, and the number of the tier.
    Retry(usize, u8),
    DeadLetters,
    Events,
}

#[derive(Clone, Debug)]
pub enum Letter {
    Start(Rc<StartEnvelope>),
    /// With the number of retry queues that it has been through.
    Command(Rc<CommandEnvelope>, u32),
    /// Whether it was handed out before.
    Reply(Rc<ReplyEnvelope>, bool),
    /// Tells of an effect, or of its undoing.
    Event(LegKey),
    /// What no retry helps.
    Dead,
}

pub type Tag = u64;
pub type Outgoing = (Queue, Letter);

#[derive(Debug)]
struct Unacked {
    queue: Queue,
    letter: Letter,
    process: usize,
}

#[derive(Debug, Default)]
pub struct Broker {
    queues: BTreeMap<Queue, VecDeque<Letter>>,
    unacked: BTreeMap<Tag, Unacked>,
    tags: Tag,
    /// How often it has crashed: what was under way then is lost.
    pub epoch: u64,
    pub down_until: Micros,
}

/// What a crash of the broker, or the end of a connection, has done.
#[derive(Debug, Default)]
pub struct Upset {
    pub redelivered: u64,
    /// Where there is something to deliver again.
    pub queues: Vec<Queue>,
}

pub struct Delivery {
    pub tag: Tag,
    pub letter: Letter,
}

impl Broker {
    pub fn is_down(&self, now: Micros) -> bool {
        now < self.down_until
    }

    pub fn deposit(&mut self, queue: Queue, letter: Letter) {
        self.queues.entry(queue).or_default().push_back(letter);
    }

    pub fn ready(&self, queue: Queue) -> usize {
        self.queues.get(&queue).map_or(0, VecDeque::len)
    }

    /// Hands the message at this place of the queue to a process.
    pub fn deliver(&mut self, queue: Queue, at: usize, process: usize) -> Option<Delivery> {
        let letter = self.queues.get_mut(&queue)?.remove(at)?;
        self.tags += 1;
        self.unacked.insert(self.tags, Unacked { queue, letter: letter.clone(), process });
        Some(Delivery { tag: self.tags, letter })
    }

    /// What the message at this place of the queue is.
    pub fn look(&self, queue: Queue, at: usize) -> Option<&Letter> {
        self.queues.get(&queue)?.get(at)
    }

    /// Nothing happens for a tag of a channel that is gone.
    pub fn acknowledge(&mut self, tags: &[Tag]) {
        for tag in tags {
            self.unacked.remove(tag);
        }
    }

    /// The process's connection has ended: what it holds is delivered again.
    pub fn disconnect(&mut self, process: usize) -> Upset {
        let held = self.unacked.iter().filter(|(_, unacked)| unacked.process == process);
        let tags: Vec<Tag> = held.map(|(tag, _)| *tag).collect();
        let mut upset = Upset::default();
        for tag in tags {
            self.give_back(tag, &mut upset);
        }
        upset
    }

    fn give_back(&mut self, tag: Tag, upset: &mut Upset) {
        let Some(Unacked { queue, letter, .. }) = self.unacked.remove(&tag) else { return };
        let letter = match letter {
            Letter::Reply(reply, _) => Letter::Reply(reply, true),
            letter => letter,
        };
        upset.redelivered += 1;
        upset.queues.push(queue);
        self.queues.entry(queue).or_default().push_front(letter);
    }

    /// Every connection ends, and what was on its way is lost.
    pub fn crash(&mut self, back_at: Micros) -> Upset {
        self.epoch += 1;
        self.down_until = back_at;
        let mut upset = Upset::default();
        let tags: Vec<Tag> = self.unacked.keys().copied().collect();
        for tag in tags {
            self.give_back(tag, &mut upset);
        }
        let ready = self.queues.iter().filter(|(_, letters)| !letters.is_empty());
        upset.queues = ready.map(|(queue, _)| *queue).collect();
        upset
    }

    /// Everything that lies in a queue.
    pub fn content(&self, queue: Queue) -> impl Iterator<Item = &Letter> {
        self.queues.get(&queue).into_iter().flatten()
    }

    /// Messages that wait for somebody: ready or unacknowledged.
    pub fn open(&self) -> usize {
        let work = |queue: &Queue| !matches!(queue, Queue::DeadLetters | Queue::Events);
        let ready = self.queues.iter().filter(|(queue, _)| work(queue));
        ready.map(|(_, kept)| kept.len()).sum::<usize>() + self.unacked.len()
    }
}
