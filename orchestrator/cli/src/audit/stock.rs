//! The shelf: every unit that came in is free, reserved or shipped, and what is held is explained
//! by an order.

use super::{
    dossier::{Dossier, Hold, Standing},
    error::Error,
    invariant::{Finding, Invariant, Need},
    snapshot::Snapshot,
};
use saga_core::StepState;
use sqlx::FromRow;

const INVENTORY: &[Need] = &[Need::Database("inventory")];

/// One product's numbers, and what its holds and deliveries add up to.
#[derive(FromRow)]
pub(crate) struct Shelf {
    product_id: String,
    initial: i64,
    restocked: i64,
    free: i64,
    reserved: i64,
    shipped: i64,
    held: i64,
    gone: i64,
    received: i64,
}

pub(crate) const OF_A_SHELF: &[Invariant<Shelf>] = &[
    Invariant {
        name: "stock-is-conserved",
        says: "initial + restocked = free + reserved + shipped, none of them below 0",
        needs: INVENTORY,
        broken: conserved,
    },
    Invariant {
        name: "stock-reserved-is-held",
        says: "what a product has reserved is what its holds hold",
        needs: INVENTORY,
        broken: reserved_is_held,
    },
    Invariant {
        name: "stock-shipped-is-gone",
        says: "what a product has shipped is what its holds shipped",
        needs: INVENTORY,
        broken: shipped_is_gone,
    },
    Invariant {
        name: "stock-restocked-is-received",
        says: "what was restocked of a product is the sum of its deliveries",
        needs: INVENTORY,
        broken: restocked_is_received,
    },
];

pub(crate) const OF_A_SAGA: &[Invariant<Dossier>] = &[
    Invariant {
        name: "holds-agree-with-the-saga",
        says: "the holds of a completed saga are shipped, those of a compensated one released; none is shipped on the way back, none released on the way forward",
        needs: INVENTORY,
        broken: holds_agree,
    },
    Invariant {
        name: "holds-are-the-order",
        says: "what was reserved is what was ordered, product by product",
        needs: &[Need::Database("inventory"), Need::Database("order")],
        broken: holds_are_the_order,
    },
];

/// Gives every product to `each`.
pub(crate) async fn shelves(
    inventory: &mut Snapshot,
    each: impl FnMut(Shelf),
) -> Result<(), Error> {
    inventory
        .each(
            "SELECT product_id, initial, restocked, free, reserved, shipped,
                    coalesce(held, 0)::bigint AS held, coalesce(gone, 0)::bigint AS gone,
                    coalesce(received, 0)::bigint AS received
               FROM product
               LEFT JOIN (SELECT product_id, sum(quantity) FILTER (WHERE status = 'held') AS held,
                                 sum(quantity) FILTER (WHERE status = 'shipped') AS gone
                            FROM hold GROUP BY product_id) AS holds USING (product_id)
               LEFT JOIN (SELECT product_id, sum(quantity) AS received
                            FROM restock GROUP BY product_id) AS deliveries USING (product_id)
              ORDER BY product_id",
            each,
        )
        .await
}

impl Shelf {
    fn found(&self, broken: bool, seen: String) -> Vec<Finding> {
        if broken { vec![Finding::new(self.product_id.as_str(), seen)] } else { Vec::new() }
    }
}

fn conserved(shelf: &Shelf) -> Vec<Finding> {
    let Shelf { initial, restocked, free, reserved, shipped, .. } = shelf;
    let broken = initial + restocked != free + reserved + shipped
        || [free, reserved, shipped].into_iter().any(|number| *number < 0);
    let seen = format!(
        "{initial} + {restocked} came in; {free} free, {reserved} reserved, {shipped} shipped"
    );
    shelf.found(broken, seen)
}

fn reserved_is_held(shelf: &Shelf) -> Vec<Finding> {
    let Shelf { reserved, held, .. } = shelf;
    shelf.found(reserved != held, format!("{reserved} reserved, {held} held"))
}

fn shipped_is_gone(shelf: &Shelf) -> Vec<Finding> {
    let Shelf { shipped, gone, .. } = shelf;
    shelf.found(shipped != gone, format!("{shipped} shipped, holds shipped {gone}"))
}

fn restocked_is_received(shelf: &Shelf) -> Vec<Finding> {
    let Shelf { restocked, received, .. } = shelf;
    shelf.found(restocked != received, format!("{restocked} restocked, {received} delivered"))
}

fn holds_agree(dossier: &Dossier) -> Vec<Finding> {
    let Some(standing) = dossier.ordering() else { return Vec::new() };
    let wrong = |hold: &&Hold| match standing {
        Standing::Completed => hold.status != "shipped",
        Standing::Compensated => hold.status != "released",
        Standing::Compensating => hold.status == "shipped",
        Standing::Running => hold.status == "released",
    };
    let seen =
        |hold: &Hold| format!("{} of it {}, the saga is {standing:?}", hold.quantity, hold.status);
    let holds = dossier.holds.iter().filter(wrong);
    holds.map(|hold| Finding::new(hold.product_id.as_str(), seen(hold))).collect()
}

fn holds_are_the_order(dossier: &Dossier) -> Vec<Finding> {
    if dossier.ordering().is_none() || dossier.step("reserve-stock") != Some(StepState::Done) {
        return Vec::new();
    }
    let mut held: Vec<_> =
        dossier.holds.iter().map(|hold| (hold.product_id.clone(), hold.quantity)).collect();
    held.sort();
    match dossier.ordered() {
        Some(ordered) if ordered != held => {
            vec![Finding::new("holds", format!("ordered {ordered:?}, held {held:?}"))]
        }
        _ => Vec::new(),
    }
}
