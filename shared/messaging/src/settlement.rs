//! Which deliveries of a channel are still open, and how to close them with few words.

use crate::delivery::Settlement;
use std::collections::BTreeMap;

/// Delivery tags handed out and not settled.
#[derive(Debug, Default)]
pub(crate) struct Unsettled {
    tags: BTreeMap<u64, Open>,
}

/// A delivery, which may hold several messages. It is dealt with when each of them is, and goes
/// back as a whole when one of them does: the others know their duplicates.
#[derive(Debug)]
struct Open {
    left: usize,
    back: Option<Back>,
}

/// What to say to the broker, in this order.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Words {
    /// Tags to put back, with whether the attempt failed.
    pub(crate) back: Vec<(u64, Back)>,
    pub(crate) acks: Vec<Ack>,
}

/// The worse comes later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Back {
    /// Unprocessed: `basic.nack`, which newer brokers do not count as an attempt.
    Untouched,
    /// A failed attempt: `basic.reject` with requeue.
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ack {
    pub(crate) tag: u64,
    /// Covers every open tag below, too.
    pub(crate) multiple: bool,
}

impl Unsettled {
    /// `messages`: how many it holds.
    pub(crate) fn add(&mut self, tag: u64, messages: usize) {
        self.tags.insert(tag, Open { left: messages.max(1), back: None });
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
            let (tags, back) = match settlement {
                Settlement::Ack(tag) => (vec![tag], None),
                Settlement::AckAll(tags) => (tags, None),
                Settlement::HandBack(tag) => (vec![tag], Some(Back::Untouched)),
                Settlement::Failed(tag) => (vec![tag], Some(Back::Failed)),
            };
            for tag in tags {
                match self.message_settled(tag, back) {
                    Some(None) => acked.push(tag),
                    Some(Some(back)) => words.back.push((tag, back)),
                    None => {}
                }
            }
        }
        acked.sort_unstable();
        let floor = self.tags.first_key_value().map_or(u64::MAX, |(tag, _)| *tag);
        let covered = acked.partition_point(|&tag| tag < floor);
        if let Some(&tag) = acked[..covered].last() {
            words.acks.push(Ack { tag, multiple: covered > 1 });
        }
        words.acks.extend(acked[covered..].iter().map(|&tag| Ack { tag, multiple: false }));
        words
    }

    /// What becomes of the delivery, if this was the last of its messages.
    fn message_settled(&mut self, tag: u64, back: Option<Back>) -> Option<Option<Back>> {
        let open = self.tags.get_mut(&tag)?;
        open.left -= 1;
        open.back = open.back.max(back);
        let back = open.back;
        (open.left == 0).then(|| {
            self.tags.remove(&tag);
            back
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(tags: impl IntoIterator<Item = u64>) -> Unsettled {
        let mut unsettled = Unsettled::default();
        tags.into_iter().for_each(|tag| unsettled.add(tag, 1));
        unsettled
    }

    #[test]
    fn a_pack_is_acknowledged_with_the_last_of_its_messages() {
        let mut unsettled = open([1]);
        unsettled.add(2, 3);
        let nothing = Words::default();
        assert_eq!(unsettled.settle([Settlement::AckAll(vec![2, 2])]), nothing);
        let words = unsettled.settle([Settlement::AckAll(vec![1, 2])]);
        assert_eq!(words.acks, [Ack { tag: 2, multiple: true }]);
        assert!(unsettled.is_empty());
    }

    #[test]
    fn a_pack_goes_back_when_one_of_its_messages_does_and_not_before_the_last_is_settled() {
        let mut unsettled = Unsettled::default();
        unsettled.add(1, 3);
        let first = unsettled.settle([Settlement::Failed(1), Settlement::HandBack(1)]);
        assert_eq!(first, Words::default());
        let words = unsettled.settle([Settlement::Ack(1)]);
        assert_eq!(words, Words { back: vec![(1, Back::Failed)], acks: vec![] });
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
