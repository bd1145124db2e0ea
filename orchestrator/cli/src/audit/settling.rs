//! What was found broken, until it turns out to be whole.

use super::invariant::Violation;
use std::collections::BTreeSet;
use uuid::Uuid;

/// As many are looked at again and reported one by one; the rest is counted.
const MOST: usize = 1_000;

/// Violations that were seen at every look so far.
#[derive(Debug, Default)]
pub(crate) struct Violations {
    list: Vec<Violation>,
    /// Beyond those listed.
    pub more: usize,
}

impl Violations {
    pub fn add(&mut self, found: Vec<Violation>) {
        for violation in found {
            match self.list.len() < MOST {
                true => self.list.push(violation),
                false => self.more += 1,
            }
        }
    }
}

#[derive(Debug)]
pub(crate) struct Candidates(Violations);

impl Candidates {
    pub fn new(found: Violations) -> Self {
        Candidates(found)
    }

    pub fn is_empty(&self) -> bool {
        self.0.list.is_empty()
    }

    /// The sagas to look at again.
    pub fn sagas(&self) -> BTreeSet<Uuid> {
        self.0.list.iter().filter_map(|violation| violation.saga).collect()
    }

    /// Drops what is whole now, and takes over the values seen last.
    pub fn keep_only(&mut self, again: &Violations) {
        self.0.list.retain_mut(|violation| {
            let seen = again.list.iter().find(|other| violation.is_as(other));
            if let Some(seen) = seen {
                violation.clone_from(seen);
            }
            seen.is_some()
        });
    }

    pub fn into_violations(self) -> (Vec<Violation>, usize) {
        (self.0.list, self.0.more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(about: &str, seen: &str) -> Violation {
        let (about, seen) = (about.to_owned(), seen.to_owned());
        Violation { invariant: "i", saga: Some(Uuid::nil()), about, seen }
    }

    fn violations(list: &[Violation]) -> Violations {
        let mut violations = Violations::default();
        violations.add(list.to_vec());
        violations
    }

    #[test]
    fn only_what_was_broken_at_every_look_is_reported_with_the_values_seen_last() {
        let mut candidates =
            Candidates::new(violations(&[seen("a", "1"), seen("b", "1"), seen("c", "1")]));
        candidates.keep_only(&violations(&[seen("c", "2"), seen("b", "1"), seen("new", "1")]));
        candidates.keep_only(&violations(&[seen("c", "3"), seen("a", "1")]));
        assert_eq!(candidates.into_violations(), (vec![seen("c", "3")], 0));
    }

    #[test]
    fn a_flood_is_counted_and_not_kept() {
        let flood: Vec<_> = (0..MOST + 7).map(|number| seen(&number.to_string(), "")).collect();
        let (listed, more) = Candidates::new(violations(&flood)).into_violations();
        assert_eq!((listed.len(), more), (MOST, 7));
    }
}
