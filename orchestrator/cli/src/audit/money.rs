//! Money: what an order's saga implies is what was taken, in payment's own table and in the books
//! of the gateway.

use super::{
    dossier::{Dossier, Standing},
    invariant::{Finding, Invariant, Need},
    ledger::Authorisation,
};

pub(crate) const OF_A_SAGA: &[Invariant<Dossier>] = &[
    Invariant {
        name: "payment-agrees-with-the-saga",
        says: "a completed saga has captured exactly its order's total; a compensated one has nothing authorised or captured; none is captured on the way back",
        needs: &[Need::Database("payment"), Need::Database("order")],
        broken: payment_agrees,
    },
    Invariant {
        name: "gateway-agrees-with-the-saga",
        says: "the gateway has captured exactly the total of a completed saga, once, and holds nothing of a compensated one",
        needs: &[Need::Simulator, Need::Database("order")],
        broken: gateway_agrees,
    },
    Invariant {
        name: "gateway-has-one-authorisation",
        says: "the gateway knows a saga by one authorisation at most, under the key of its step",
        needs: &[Need::Simulator],
        broken: one_authorisation,
    },
    Invariant {
        name: "payment-is-the-gateways",
        says: "a payment that is authorised or captured names the authorisation that the gateway has",
        needs: &[Need::Simulator, Need::Database("payment")],
        broken: payment_is_the_gateways,
    },
];

fn payment_agrees(dossier: &Dossier) -> Vec<Finding> {
    let Some(standing) = dossier.ordering() else { return Vec::new() };
    let payment = dossier.payment.as_ref();
    let status = payment.map(|payment| payment.status.as_str());
    let agrees = match (standing, &dossier.order) {
        (Standing::Completed, Some(order)) => {
            let total = payment.map(|payment| (payment.amount, payment.currency.as_str()));
            status == Some("captured") && total == Some((order.amount, order.currency.as_str()))
        }
        // That the order is missing is told where orders are looked at.
        (Standing::Completed, None) => status == Some("captured"),
        (Standing::Compensated, _) => {
            matches!(status, None | Some("declined" | "voided" | "refunded"))
        }
        (Standing::Compensating, _) => status != Some("captured"),
        (Standing::Running, _) => !matches!(status, Some("voided" | "refunded")),
    };
    if agrees {
        return Vec::new();
    }
    let paid = match payment {
        Some(payment) => format!("{} {} {}", payment.status, payment.amount, payment.currency),
        None => "no payment".to_owned(),
    };
    vec![Finding::new("payment", format!("{paid}; {}", wanted(dossier, standing)))]
}

fn gateway_agrees(dossier: &Dossier) -> Vec<Finding> {
    let Some(standing) = dossier.ordering() else { return Vec::new() };
    let with = |status: &'static str| {
        dossier.authorisations.iter().filter(move |record| record.status == status)
    };
    let open = with("authorised").count();
    let captured: Vec<_> =
        with("captured").map(|record| (record.amount, record.currency.as_str())).collect();
    let agrees = match standing {
        Standing::Completed => {
            let total = dossier.order.as_ref().map(|order| (order.amount, order.currency.as_str()));
            open == 0 && captured.len() == 1 && total.is_none_or(|total| captured == [total])
        }
        Standing::Compensated => open == 0 && captured.is_empty(),
        Standing::Compensating => captured.is_empty(),
        Standing::Running => captured.len() <= 1,
    };
    match agrees {
        true => Vec::new(),
        false => {
            let seen = format!("captured {captured:?}, {open} open; {}", wanted(dossier, standing));
            vec![Finding::new("gateway", seen)]
        }
    }
}

fn wanted(dossier: &Dossier, standing: Standing) -> String {
    match &dossier.order {
        Some(order) => {
            format!("the saga is {standing:?}, the total {} {}", order.amount, order.currency)
        }
        None => format!("the saga is {standing:?}, there is no order"),
    }
}

fn one_authorisation(dossier: &Dossier) -> Vec<Finding> {
    let strange = |record: &&Authorisation| {
        !record.key.ends_with("/authorise-payment/action") && record.status != "voided"
    };
    let records = dossier.authorisations.iter().filter(strange);
    records.map(|record| Finding::new(record.key.as_str(), record.status.as_str())).collect()
}

fn payment_is_the_gateways(dossier: &Dossier) -> Vec<Finding> {
    let Some(payment) = &dossier.payment else { return Vec::new() };
    let (Some(key), "authorised" | "captured") =
        (&payment.authorisation_key, payment.status.as_str())
    else {
        return Vec::new();
    };
    let known = dossier.authorisations.iter().find(|record| record.key == *key);
    let id = payment.authorisation.as_deref();
    match known {
        Some(known) if Some(known.authorisation.as_str()) == id => Vec::new(),
        known => {
            let known = known.map(|known| known.authorisation.as_str());
            vec![Finding::new(key.as_str(), format!("payment has {id:?}, the gateway {known:?}"))]
        }
    }
}
