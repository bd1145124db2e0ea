//! Row locks: whoever has a key keeps it until the transaction ends; others wait in line.

use std::collections::{BTreeMap, VecDeque};

/// A transaction.
pub type Holder = u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// The turn of a participant's handlers: one transaction of them at a time.
    Turn(usize),
    /// A saga's row in the journal.
    Saga(usize),
    /// A row of an inbox.
    Leg(crate::leg::LegKey),
}

#[derive(Debug, Default)]
pub struct Locks {
    taken: BTreeMap<Key, Lock>,
    /// How often somebody had to wait.
    pub waits: u64,
}

#[derive(Debug)]
struct Lock {
    holder: Holder,
    waiting: VecDeque<Holder>,
}

impl Locks {
    /// Takes the keys one by one, in their order. False when one is somebody else's: those before
    /// it are kept, and the holder is called when it may try again.
    pub fn take(&mut self, holder: Holder, keys: &[Key]) -> bool {
        for key in keys {
            match self.taken.get_mut(key) {
                None => {
                    self.taken.insert(*key, Lock { holder, waiting: VecDeque::new() });
                }
                Some(lock) if lock.holder == holder => {}
                Some(lock) => {
                    if !lock.waiting.contains(&holder) {
                        lock.waiting.push_back(holder);
                        self.waits += 1;
                    }
                    return false;
                }
            }
        }
        true
    }

    /// Gives back what the holder has of these keys. Returns who may try again.
    pub fn give_back(&mut self, holder: Holder, keys: &[Key]) -> Vec<Holder> {
        let mut next = Vec::new();
        for key in keys {
            match self.taken.get_mut(key) {
                Some(lock) if lock.holder == holder => {
                    // All of them: one gets it, the others wait again.
                    next.extend(lock.waiting.drain(..));
                    self.taken.remove(key);
                }
                Some(lock) => lock.waiting.retain(|waiting| *waiting != holder),
                None => {}
            }
        }
        next
    }
}
