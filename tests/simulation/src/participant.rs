//! A participant's database: its inbox, and the effects that commit together with it.

use crate::leg::LegKey;
use contracts::{Leg, Outcome};
use std::collections::BTreeMap;
use store::inbox::Kind;
use worker::barrier::Seen;

/// All there are, in both sagas.
pub const NAMES: [&str; 10] = [
    "order",
    "inventory",
    "payment",
    "shipping",
    "notification",
    "hotel",
    "airline",
    "embassy",
    "bank",
    "mail",
];

/// Those whose effects are outside their database.
const OUTSIDE: [&str; 6] = ["payment", "shipping", "notification", "airline", "bank", "mail"];

pub fn number_of(participant: &str) -> usize {
    NAMES.iter().position(|name| *name == participant).unwrap_or_default()
}

pub fn is_outside(participant: usize) -> bool {
    OUTSIDE.contains(&NAMES[participant])
}

/// An effect in the database: how often it was done and undone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    pub done: u32,
    pub undone: u32,
}

/// What a transaction will have changed.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    Row(LegKey, Seen),
    Done(LegKey),
    Undone(LegKey),
}

#[derive(Debug, Default)]
pub struct Database {
    inbox: BTreeMap<LegKey, Seen>,
    effects: BTreeMap<LegKey, Effect>,
}

impl Database {
    pub fn seen(&self, key: LegKey) -> Option<Seen> {
        self.inbox.get(&key).copied()
    }

    pub fn commit(&mut self, changes: &[Change]) {
        for change in changes {
            match *change {
                Change::Row(key, seen) => {
                    self.inbox.insert(key, seen);
                }
                Change::Done(key) => self.effects.entry(key.action()).or_default().done += 1,
                Change::Undone(key) => self.effects.entry(key.action()).or_default().undone += 1,
            }
        }
    }

    pub fn effect(&self, action: LegKey) -> Effect {
        self.effects.get(&action).copied().unwrap_or_default()
    }

    pub fn inbox(&self) -> impl Iterator<Item = (LegKey, Seen)> {
        self.inbox.iter().map(|(key, seen)| (*key, *seen))
    }
}

pub fn answer(outcome: Outcome) -> Seen {
    Seen { kind: Kind::Answer, outcome: Some(outcome) }
}

pub const INTENT: Seen = Seen { kind: Kind::Intent, outcome: None };
pub const TOMBSTONE: Seen = Seen { kind: Kind::Tombstone, outcome: Some(Outcome::Refused) };
pub const ABANDONED: Seen = Seen { kind: Kind::Abandoned, outcome: Some(Outcome::Refused) };

/// The body of an answer, of the type that the command's contract says.
pub fn body(kind: &str, leg: Leg, outcome: Outcome) -> Vec<u8> {
    let text = match (kind, leg, outcome) {
        (_, _, Outcome::Faulted) => r#"{"error":"simulated"}"#,
        ("order.open", Leg::Action, Outcome::Refused) => r#"{"status":"cancelled"}"#,
        ("inventory.reserve-stock", Leg::Action, Outcome::Refused) => {
            r#"{"reason":"unknown-product","product_id":"prod_001"}"#
        }
        (_, Leg::Action, Outcome::Refused) => r#"{"reason":"simulated"}"#,
        ("shipping.book", Leg::Action, Outcome::Done) => r#"{"tracking":"T-1"}"#,
        ("payment.authorise", Leg::Action, Outcome::Done) => r#"{"authorisation":"A-1"}"#,
        (_, _, Outcome::Done | Outcome::Refused) => "null",
    };
    text.as_bytes().to_vec()
}
