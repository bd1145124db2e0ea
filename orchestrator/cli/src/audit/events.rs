//! What is told of an order when it has ended: to the customer, and to whoever counts.

use super::{
    dossier::{Dossier, Standing},
    error::Error,
    invariant::{Finding, Invariant, Need},
    snapshot::Snapshot,
};
use sqlx::FromRow;

const ANALYTICS: &[Need] = &[Need::Database("analytics")];

/// One of analytics' counters beside what it counts.
#[derive(FromRow)]
pub(crate) struct Counter {
    name: String,
    kept: i64,
    counted: i64,
}

/// Messages that have been in an outbox for too long.
#[derive(FromRow)]
pub(crate) struct Stuck {
    #[sqlx(skip)]
    pub service: &'static str,
    messages: i64,
    oldest_s: i64,
}

pub(crate) const OF_A_SAGA: &[Invariant<Dossier>] = &[
    Invariant {
        name: "customer-is-told",
        says: "a completed saga has sent its notifications; a compensated one has none",
        needs: &[Need::Database("notification")],
        broken: customer_is_told,
    },
    Invariant {
        name: "ending-is-counted",
        says: "analytics has every order of an ended saga, with its ending and its total",
        needs: &[Need::Database("analytics"), Need::Database("order")],
        broken: ending_is_counted,
    },
];

pub(crate) const OF_A_COUNTER: &[Invariant<Counter>] = &[Invariant {
    name: "counters-are-their-orders",
    says: "analytics' totals, revenue and failures add up to the orders that it knows",
    needs: ANALYTICS,
    broken: counter_is_its_orders,
}];

pub(crate) const OF_AN_OUTBOX: &[Invariant<Stuck>] = &[Invariant {
    name: "outbox-is-emptied",
    says: "no message stays in an outbox for more than a minute",
    needs: &[],
    broken: outbox_is_emptied,
}];

/// Gives every counter to `each`.
pub(crate) async fn counters(
    analytics: &mut Snapshot,
    each: impl FnMut(Counter),
) -> Result<(), Error> {
    analytics
        .each(
            "WITH known AS (
                SELECT count(*) AS created, count(*) FILTER (WHERE status = 'confirmed') AS confirmed,
                       count(*) FILTER (WHERE status = 'cancelled') AS cancelled FROM orders)
             SELECT 'orders created' AS name, totals.created AS kept, known.created AS counted
               FROM totals, known
             UNION ALL SELECT 'orders confirmed', totals.confirmed, known.confirmed FROM totals, known
             UNION ALL SELECT 'orders cancelled', totals.cancelled, known.cancelled FROM totals, known
             UNION ALL
             SELECT 'revenue in ' || currency, coalesce(revenue.amount, 0), coalesce(earned, 0)::bigint
               FROM revenue FULL JOIN (SELECT currency, sum(amount) AS earned FROM orders
                                        WHERE status = 'confirmed' GROUP BY currency) AS known
                    USING (currency)
             UNION ALL
             SELECT 'failures at ' || cause, coalesce(kept, 0)::bigint, coalesce(counted, 0)
               FROM (SELECT cause, sum(count) AS kept FROM failure GROUP BY cause) AS failures
               FULL JOIN (SELECT cause, count(*) AS counted FROM orders
                           WHERE status = 'cancelled' GROUP BY cause) AS known USING (cause)",
            each,
        )
        .await
}

/// What is stuck in one outbox.
pub(crate) async fn stuck(
    book: &mut Snapshot,
    service: &'static str,
    mut each: impl FnMut(Stuck),
) -> Result<(), Error> {
    book.each(
        "SELECT count(*) AS messages,
                coalesce(extract(epoch FROM now() - min(at)), 0)::bigint AS oldest_s
           FROM outbox WHERE at < now() - interval '1 minute'",
        |row| each(Stuck { service, ..row }),
    )
    .await
}

fn customer_is_told(dossier: &Dossier) -> Vec<Finding> {
    let told = &dossier.notifications;
    match dossier.ordering() {
        Some(Standing::Completed) if told.is_empty() => {
            vec![Finding::new("notification", "none, and the saga is Completed")]
        }
        Some(Standing::Completed) => told
            .iter()
            .filter(|one| one.status != "sent")
            .map(|one| Finding::new(one.channel.as_str(), format!("{}, not sent", one.status)))
            .collect(),
        Some(standing @ (Standing::Compensated | Standing::Compensating)) => told
            .iter()
            .map(|one| {
                let seen = format!("{}, and the saga is {standing:?}", one.status);
                Finding::new(one.channel.as_str(), seen)
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn ending_is_counted(dossier: &Dossier) -> Vec<Finding> {
    let Some(order) = &dossier.order else { return Vec::new() };
    let ending = match dossier.ordering() {
        Some(Standing::Completed) => "confirmed",
        Some(Standing::Compensated) => "cancelled",
        _ => return Vec::new(),
    };
    let should = (ending, order.amount, order.currency.as_str());
    let counted = dossier
        .counted
        .as_ref()
        .map(|counted| (counted.status.as_str(), counted.amount, counted.currency.as_str()));
    match counted == Some(should) {
        true => Vec::new(),
        false => vec![Finding::new("analytics", format!("{should:?} counted as {counted:?}"))],
    }
}

fn counter_is_its_orders(counter: &Counter) -> Vec<Finding> {
    let Counter { name, kept, counted } = counter;
    match kept == counted {
        true => Vec::new(),
        false => {
            vec![Finding::new(name.as_str(), format!("{kept} kept, its orders make {counted}"))]
        }
    }
}

fn outbox_is_emptied(stuck: &Stuck) -> Vec<Finding> {
    match stuck.messages {
        0 => Vec::new(),
        messages => {
            let seen = format!("{messages} messages, the oldest {} s old", stuck.oldest_s);
            vec![Finding::new(stuck.service, seen)]
        }
    }
}
