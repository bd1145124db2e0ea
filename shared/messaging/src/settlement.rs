//! Which deliveries of a channel are still open, and how to close them with few words.

use crate::delivery::Settlement;
use std::collections::BTreeSet;

/// Delivery tags handed out and not settled.
#[derive(Debug, Default)]
pub(crate) struct Unsettled {
    tags: BTreeSet<u64>,
}

/// What to say to the broker, in this order.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Words {
    /// Tags to put back, with whether the attempt failed.
    pub(crate) back: Vec<(u64, Back)>,
    pub(crate) acks: Vec<Ack>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Back {
    /// Unprocessed: `basic.nack`, which newer brokers do not count as an attempt.
    Untouched,
    /// A failed attempt: `basic.reject` with requeue.
    Failed,
    /// For the dead letters: `basic.reject`.
    Dead,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ack {
    pub(crate) tag: u64,
    /// Covers every open tag below, too.
    pub(crate) multiple: bool,
}

impl Unsettled {
    pub(crate) fn add(&mut self, tag: u64) {
        self.tags.insert(tag);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tags.is_empty()
    }

    /// Tags go up in the order of delivery. So once everything below some open tag is dealt with,
    /// one acknowledgement covers it all; what goes back is said first, or it would be covered too.
    pub(crate) fn settle(&mut self, settlements: impl IntoIterator<Item = Settlement>) -> Words {
        let mut words = Words::default();
        let mut acked = Vec::new();
        for settlement in settlements {
            let (tag, back) = match settlement {
                Settlement::Ack(tag) => {
                    acked.push(tag);
                    continue;
                }
                Settlement::AckAll(tags) => {
                    acked.extend(tags);
                    continue;
                }
                Settlement::HandBack(tag) => (tag, Back::Untouched),
                Settlement::Failed(tag) => (tag, Back::Failed),
                Settlement::Reject(tag) => (tag, Back::Dead),
            };
            if self.tags.remove(&tag) {
                words.back.push((tag, back));
            }
        }
        acked.retain(|tag| self.tags.remove(tag));
        acked.sort_unstable();
        let floor = self.tags.first().copied().unwrap_or(u64::MAX);
        let covered = acked.partition_point(|&tag| tag < floor);
        if let Some(&tag) = acked[..covered].last() {
            words.acks.push(Ack { tag, multiple: covered > 1 });
        }
        words.acks.extend(acked[covered..].iter().map(|&tag| Ack { tag, multiple: false }));
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(tags: impl IntoIterator<Item = u64>) -> Unsettled {
        Unsettled { tags: tags.into_iter().collect() }
    }

    #[test]
    fn a_batch_is_acknowledged_in_one_word() {
        let mut unsettled = open(1..=100);
        let words = unsettled.settle([Settlement::AckAll((1..=100).rev().collect())]);
        assert_eq!(words, Words { back: vec![], acks: vec![Ack { tag: 100, multiple: true }] });
        assert!(unsettled.is_empty());
    }

    #[test]
    fn an_open_delivery_is_never_covered_by_a_later_ones_acknowledgement() {
        let mut unsettled = open(1..=6);
        let words = unsettled.settle([Settlement::AckAll(vec![1, 2, 4, 6])]);
        let single = |tag| Ack { tag, multiple: false };
        assert_eq!(words.acks, [Ack { tag: 2, multiple: true }, single(4), single(6)]);
        let words = unsettled.settle([Settlement::Ack(3), Settlement::Ack(5)]);
        assert_eq!(words.acks, [Ack { tag: 5, multiple: true }]);
    }

    #[test]
    fn what_goes_back_is_said_before_what_is_acknowledged() {
        let mut unsettled = open(1..=3);
        let words = unsettled.settle([Settlement::AckAll(vec![1, 3]), Settlement::HandBack(2)]);
        assert_eq!(words.back, [(2, Back::Untouched)]);
        assert_eq!(words.acks, [Ack { tag: 3, multiple: true }]);
    }

    #[test]
    fn nothing_is_settled_twice() {
        let mut unsettled = open([1]);
        unsettled.settle([Settlement::Ack(1)]);
        let words = unsettled.settle([Settlement::Ack(1), Settlement::Failed(1)]);
        assert_eq!(words, Words::default());
    }
}
