//! Orders against their sagas.

use super::{
    dossier::{Dossier, Standing},
    invariant::{Finding, Invariant, Need},
};

const ORDER: &[Need] = &[Need::Database("order")];

pub(crate) const HAS_ITS_SAGA: &str = "order-has-its-saga";

pub(crate) const OF_A_SAGA: &[Invariant<Dossier>] = &[
    Invariant {
        name: HAS_ITS_SAGA,
        says: "every accepted order has a saga, unless its start is still on its way there or it was withdrawn before anything began",
        needs: ORDER,
        broken: has_its_saga,
    },
    Invariant {
        name: "order-agrees-with-its-saga",
        says: "an order is confirmed when its saga is completed, cancelled when it is compensated, and not confirmed while it goes back",
        needs: ORDER,
        broken: agrees_with_its_saga,
    },
    Invariant {
        name: "order-total-is-its-items",
        says: "an order's total is the sum of its items",
        needs: ORDER,
        broken: total_is_its_items,
    },
];

fn has_its_saga(dossier: &Dossier) -> Vec<Finding> {
    match (&dossier.order, &dossier.saga) {
        // A withdrawn one's start may be lost: nobody sends it again, as there is nothing to be done.
        (Some(order), None) if !dossier.start_waits && !order.withdrawn => {
            vec![Finding::new("saga", format!("the order is {}, there is no saga", order.status))]
        }
        _ => Vec::new(),
    }
}

fn agrees_with_its_saga(dossier: &Dossier) -> Vec<Finding> {
    let Some(standing) = dossier.ordering() else { return Vec::new() };
    let status = dossier.order.as_ref().map(|order| order.status.as_str());
    let agrees = match standing {
        Standing::Completed => status == Some("confirmed"),
        // A saga may be started without an order; it is undone.
        Standing::Compensated => matches!(status, Some("cancelled") | None),
        Standing::Compensating => status != Some("confirmed"),
        Standing::Running => true,
    };
    match agrees {
        true => Vec::new(),
        false => {
            let status = status.unwrap_or("missing");
            vec![Finding::new("status", format!("the order is {status}, its saga {standing:?}"))]
        }
    }
}

fn total_is_its_items(dossier: &Dossier) -> Vec<Finding> {
    let Some(order) = &dossier.order else { return Vec::new() };
    let items = order.items.as_array().map(Vec::as_slice).unwrap_or_default();
    let sum = items.iter().try_fold(0_i64, |sum, item| {
        let of_one = item["price"]["amount"].as_i64()?;
        sum.checked_add(of_one.checked_mul(item["quantity"].as_i64()?)?)
    });
    match sum == Some(order.amount) {
        true => Vec::new(),
        false => {
            vec![Finding::new("total", format!("{}, its items make {sum:?}", order.amount))]
        }
    }
}
