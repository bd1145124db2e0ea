//! What an operator's word excuses. Who skips a leg, or forces a saga back, vouches for one step;
//! what that step has in the books may then differ from what the journal says. Nothing else may.

use super::invariant::Violation;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Sagas, and the steps of each that an operator has vouched for.
pub(crate) type Vouched = BTreeMap<Uuid, BTreeSet<String>>;

/// Whose finding is about a step, by name.
const OF_ITS_STEP: &str = "inbox-agrees-with-the-journal";

/// The books that a step writes, or that are written because of what it tells. An invariant that is
/// not here is never excused: histories, totals, and whatever would have happened twice.
const OF_STEPS: &[(&str, &[&str])] = &[
    ("order-agrees-with-its-saga", &["open-order", "confirm-order"]),
    ("ending-is-counted", &["open-order", "confirm-order"]),
    ("holds-agree-with-the-saga", &["reserve-stock", "confirm-order"]),
    ("payment-agrees-with-the-saga", &["authorise-payment", "capture-payment"]),
    ("gateway-agrees-with-the-saga", &["authorise-payment", "capture-payment"]),
    ("shipment-agrees-with-the-saga", &["book-shipment", "confirm-order"]),
    ("carrier-agrees-with-the-saga", &["book-shipment"]),
    ("customer-is-told", &["notify-customer"]),
];

/// Whether somebody has taken it upon them that this is so.
pub(crate) fn excuses(vouched: &Vouched, violation: &Violation) -> bool {
    let Some(steps) = violation.saga.and_then(|saga| vouched.get(&saga)) else { return false };
    if violation.invariant == OF_ITS_STEP {
        return steps.contains(&violation.about);
    }
    let of_it = OF_STEPS.iter().find(|(name, _)| *name == violation.invariant);
    of_it.is_some_and(|(_, touched)| touched.iter().any(|step| steps.contains(*step)))
}

#[cfg(test)]
mod tests {
    use super::{super::registry, *};

    const ORDER: Uuid = Uuid::from_u128(1);

    fn excused(step: &str, invariant: &'static str, about: &str) -> bool {
        let vouched = Vouched::from([(ORDER, BTreeSet::from([step.to_owned()]))]);
        let of = |saga| Violation {
            invariant,
            saga: Some(saga),
            about: about.to_owned(),
            seen: String::new(),
        };
        assert!(!excuses(&vouched, &of(Uuid::from_u128(2))), "nobody vouched for that saga");
        excuses(&vouched, &of(ORDER))
    }

    #[test]
    fn a_word_for_one_step_excuses_that_steps_books_and_no_others() {
        let money = "payment-agrees-with-the-saga";
        assert!(excused("capture-payment", money, "payment"));
        assert!(!excused("notify-customer", money, "payment"));
        assert!(!excused("capture-payment", "holds-agree-with-the-saga", "prod_001"));
        assert!(excused("capture-payment", OF_ITS_STEP, "capture-payment"));
        assert!(!excused("capture-payment", OF_ITS_STEP, "book-shipment"));
    }

    #[test]
    fn histories_totals_and_what_happened_twice_are_never_excused() {
        let never = [
            "history-is-legal",
            "history-gives-the-state",
            "order-total-is-its-items",
            "gateway-has-one-authorisation",
            "carrier-has-one-parcel",
            "effect-has-its-saga",
        ];
        for invariant in never {
            assert!(!excused("capture-payment", invariant, "capture-payment"), "{invariant}");
        }
    }

    #[test]
    fn every_invariant_that_may_be_excused_exists() {
        let listed: BTreeSet<_> = registry::list().iter().map(|one| one.name).collect();
        assert!(listed.contains(OF_ITS_STEP));
        assert!(OF_STEPS.iter().all(|(name, _)| listed.contains(name)));
        let order = sagas::catalogue(saga_core::Patience::default());
        let order = order.newest("place-order").unwrap();
        let is_step = |name: &&str| order.plan().index(name).is_some();
        assert!(OF_STEPS.iter().all(|(_, steps)| steps.iter().all(is_step)));
    }
}
