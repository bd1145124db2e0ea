//! Every invariant, by what it is about.

use super::{
    agreement,
    dossier::Dossier,
    events::{self, Counter, Stuck},
    history,
    invariant::{Invariant, Need, Violation},
    kept::{self, Kept},
    letters::{self, Letter},
    money, orders, parcels,
    sources::Sources,
    stock::{self, Shelf},
};
use serde::Serialize;
use uuid::Uuid;

const OF_A_SAGA: [&[Invariant<Dossier>]; 7] = [
    orders::OF_A_SAGA,
    history::OF_A_SAGA,
    agreement::OF_A_SAGA,
    stock::OF_A_SAGA,
    money::OF_A_SAGA,
    parcels::OF_A_SAGA,
    events::OF_A_SAGA,
];

/// An invariant as `sagactl audit --list` shows it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Listed {
    pub name: &'static str,
    pub of: &'static str,
    pub says: &'static str,
    pub needs: &'static [Need],
}

/// Every invariant.
pub fn list() -> Vec<Listed> {
    let mut listed = Vec::new();
    OF_A_SAGA.iter().for_each(|area| extend(&mut listed, "saga", area));
    extend(&mut listed, "product", stock::OF_A_SHELF);
    extend(&mut listed, "counter", events::OF_A_COUNTER);
    extend(&mut listed, "outbox", events::OF_AN_OUTBOX);
    extend(&mut listed, "dead letter", letters::OF_A_LETTER);
    extend(&mut listed, "collected dead letter", kept::OF_A_KEPT_LETTER);
    listed
}

fn extend<T>(listed: &mut Vec<Listed>, of: &'static str, invariants: &[Invariant<T>]) {
    let one = |it: &Invariant<T>| Listed { name: it.name, of, says: it.says, needs: it.needs };
    listed.extend(invariants.iter().map(one));
}

pub(crate) fn of_a_saga(id: Uuid, it: &Dossier, sources: &Sources) -> Vec<Violation> {
    OF_A_SAGA.iter().flat_map(|area| broken(area, it, Some(id), sources)).collect()
}

pub(crate) fn of_a_shelf(it: &Shelf, sources: &Sources) -> Vec<Violation> {
    broken(stock::OF_A_SHELF, it, None, sources)
}

pub(crate) fn of_a_counter(it: &Counter, sources: &Sources) -> Vec<Violation> {
    broken(events::OF_A_COUNTER, it, None, sources)
}

pub(crate) fn of_an_outbox(it: &Stuck, sources: &Sources) -> Vec<Violation> {
    broken(events::OF_AN_OUTBOX, it, None, sources)
}

pub(crate) fn of_a_letter(it: &Letter, sources: &Sources) -> Vec<Violation> {
    broken(letters::OF_A_LETTER, it, it.id(), sources)
}

pub(crate) fn of_a_kept_letter(it: &Kept, sources: &Sources) -> Vec<Violation> {
    broken(kept::OF_A_KEPT_LETTER, it, it.saga_id, sources)
}

fn broken<T>(
    area: &[Invariant<T>],
    it: &T,
    saga: Option<Uuid>,
    sources: &Sources,
) -> Vec<Violation> {
    area.iter().flat_map(|invariant| invariant.look(it, saga, sources)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_invariant_has_a_name_of_its_own_and_says_what_it_promises() {
        let listed = list();
        let names: BTreeSet<_> = listed.iter().map(|one| one.name).collect();
        assert_eq!(names.len(), listed.len());
        assert!(listed.iter().all(|one| one.says.len() > 20 && !one.says.ends_with('.')));
    }
}
