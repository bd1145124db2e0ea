//! Parcels: a completed order has one on its way, in shipping's own table and in the carrier's
//! books; any other has none.

use super::{
    dossier::{Dossier, Standing},
    invariant::{Finding, Invariant, Need},
    ledger::Parcel,
};

pub(crate) const OF_A_SAGA: &[Invariant<Dossier>] = &[
    Invariant {
        name: "shipment-agrees-with-the-saga",
        says: "a completed saga has a booked shipment, with the order's tracking number; a compensated one has none",
        needs: &[Need::Database("shipping"), Need::Database("order")],
        broken: shipment_agrees,
    },
    Invariant {
        name: "carrier-agrees-with-the-saga",
        says: "the carrier has one parcel of a completed saga, and none of a compensated one",
        needs: &[Need::Simulator],
        broken: carrier_agrees,
    },
    Invariant {
        name: "carrier-has-one-parcel",
        says: "the carrier knows a saga by one parcel at most, under the key of its step",
        needs: &[Need::Simulator],
        broken: one_parcel,
    },
    Invariant {
        name: "shipment-is-the-carriers",
        says: "a booked shipment names the parcel that the carrier has",
        needs: &[Need::Simulator, Need::Database("shipping")],
        broken: shipment_is_the_carriers,
    },
];

fn shipment_agrees(dossier: &Dossier) -> Vec<Finding> {
    let Some(standing) = dossier.ordering() else { return Vec::new() };
    let shipment = dossier.shipment.as_ref();
    let status = shipment.map(|shipment| shipment.status.as_str());
    let tracking = shipment.and_then(|shipment| shipment.tracking.as_deref());
    let told = dossier.order.as_ref().and_then(|order| order.tracking.as_deref());
    let agrees = match standing {
        Standing::Completed => {
            status == Some("booked") && (dossier.order.is_none() || tracking == told)
        }
        Standing::Compensated => matches!(status, None | Some("refused" | "cancelled")),
        Standing::Running => status != Some("cancelled"),
        Standing::Compensating => true,
    };
    match agrees {
        true => Vec::new(),
        false => {
            let status = status.unwrap_or("missing");
            let seen = format!("{status}, {tracking:?}; the order has {told:?}; {standing:?}");
            vec![Finding::new("shipment", seen)]
        }
    }
}

fn carrier_agrees(dossier: &Dossier) -> Vec<Finding> {
    let Some(standing) = dossier.ordering() else { return Vec::new() };
    let booked = dossier.parcels.iter().filter(|parcel| parcel.status == "booked").count();
    let agrees = match standing {
        Standing::Completed => booked == 1,
        Standing::Compensated => booked == 0,
        Standing::Running | Standing::Compensating => booked <= 1,
    };
    match agrees {
        true => Vec::new(),
        false => {
            vec![Finding::new("carrier", format!("{booked} parcels, the saga is {standing:?}"))]
        }
    }
}

fn one_parcel(dossier: &Dossier) -> Vec<Finding> {
    let strange = |parcel: &&Parcel| {
        !parcel.key.ends_with("/book-shipment/action") && parcel.status != "cancelled"
    };
    let parcels = dossier.parcels.iter().filter(strange);
    let seen = |parcel: &Parcel| format!("{}, {}", parcel.status, parcel.tracking);
    parcels.map(|parcel| Finding::new(parcel.key.as_str(), seen(parcel))).collect()
}

fn shipment_is_the_carriers(dossier: &Dossier) -> Vec<Finding> {
    let Some(shipment) = &dossier.shipment else { return Vec::new() };
    let (Some(key), "booked") = (&shipment.shipment_key, shipment.status.as_str()) else {
        return Vec::new();
    };
    let known = dossier.parcels.iter().find(|parcel| parcel.key == *key);
    let tracking = shipment.tracking.as_deref();
    match known {
        Some(known) if Some(known.tracking.as_str()) == tracking => Vec::new(),
        known => {
            let known = known.map(|known| known.tracking.as_str());
            let seen = format!("shipping has {tracking:?}, the carrier {known:?}");
            vec![Finding::new(key.as_str(), seen)]
        }
    }
}
