//! The other side: gateway, carrier, airline, bank, mail. Idempotent by key, and it honours the
//! undoing of what it has never seen: that will never be done.

use crate::leg::LegKey;
use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Authorised, booked, captured, sent.
    Stands,
    Declined,
    /// Undone, or never to be done.
    Void,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    Yes,
    No,
}

/// What each action's key stands for.
#[derive(Debug, Default)]
pub struct Ledger(BTreeMap<LegKey, Standing>);

impl Ledger {
    /// Does what the key stands for, once. It may need something else to stand (a capture needs
    /// its authorisation), and may be declined when it is first seen.
    pub fn act(&mut self, action: LegKey, needs: Option<LegKey>, declined: bool) -> Word {
        let lacks = needs.is_some_and(|key| self.standing(key) != Some(Standing::Stands));
        let first = if declined || lacks { Standing::Declined } else { Standing::Stands };
        match self.0.entry(action).or_insert(first) {
            Standing::Stands => Word::Yes,
            Standing::Declined | Standing::Void => Word::No,
        }
    }

    /// Undoes what the action's key stands for. True when the key had never been seen.
    pub fn void(&mut self, action: LegKey) -> bool {
        let before = self.0.get(&action).copied();
        if before != Some(Standing::Declined) {
            self.0.insert(action, Standing::Void);
        }
        before.is_none()
    }

    pub fn standing(&self, action: LegKey) -> Option<Standing> {
        self.0.get(&action).copied()
    }

    pub fn stands(&self, action: LegKey) -> bool {
        self.standing(action) == Some(Standing::Stands)
    }

    pub fn keys(&self) -> impl Iterator<Item = LegKey> {
        self.0.keys().copied()
    }
}
