//! What an invariant is, and what its violation is.

use super::sources::Sources;
use serde::Serialize;
use uuid::Uuid;

/// A promise about each `T` that is looked at.
pub(crate) struct Invariant<T: 'static> {
    pub name: &'static str,
    /// The promise, in words.
    pub says: &'static str,
    /// What must be readable, besides the journal, for it to be looked at.
    pub needs: &'static [Need],
    /// Every way in which it is broken.
    pub broken: fn(&T) -> Vec<Finding>,
}

/// A source that may not have been given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    Database(&'static str),
    Simulator,
    Broker,
}

/// One way in which an invariant is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// What of the thing looked at: a step, a product. Stays the same from look to look.
    pub about: String,
    /// The values seen.
    pub seen: String,
}

/// An invariant that is broken, by what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    pub invariant: &'static str,
    /// The saga (which is also the order), if it is about one.
    pub saga: Option<Uuid>,
    /// What of it, or what else: a step, a product, a queue.
    pub about: String,
    /// The values seen.
    pub seen: String,
}

impl<T> Invariant<T> {
    /// The violations by `it`, if the invariant can be looked at.
    pub fn look(&self, it: &T, saga: Option<Uuid>, sources: &Sources) -> Vec<Violation> {
        if !self.needs.iter().all(|need| sources.has(*need)) {
            return Vec::new();
        }
        let violation =
            |Finding { about, seen }| Violation { invariant: self.name, saga, about, seen };
        (self.broken)(it).into_iter().map(violation).collect()
    }
}

impl Finding {
    pub fn new(about: impl Into<String>, seen: impl Into<String>) -> Self {
        Finding { about: about.into(), seen: seen.into() }
    }
}

impl Violation {
    /// Whether it is the same one, seen at another time.
    pub fn is_as(&self, other: &Violation) -> bool {
        (self.invariant, self.saga, &self.about) == (other.invariant, other.saga, &other.about)
    }
}
