//! What became of every order that was accepted, read from everybody's books.

use crate::{
    ground::Ground,
    load::{Entry, Told},
};
use anyhow::Result;
use sagactl::audit::{self, Options, Report};
use serde_json::Value;
use sqlx::Row;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use uuid::Uuid;

/// Events may still be on their way to the last subscriber for so long.
pub const SETTLE: Duration = Duration::from_secs(40);

/// Orders by what became of them; those of one load.
#[derive(Debug, Default)]
pub struct Account {
    pub accepted: usize,
    pub completed: usize,
    pub compensated: usize,
    pub parked: usize,
    /// Accepted, and neither ended nor parked: why, one by one.
    pub lost: Vec<String>,
    /// What happened twice, or for nobody: one by one.
    pub doubled: Vec<String>,
    /// Attempts of clients that ended without an answer.
    pub unknown: u32,
    /// The longest time from an order's submission to its last change.
    pub slowest: Duration,
}

/// Reads it all, once everything is at rest. `known` are the orders of earlier loads, to which those
/// of this one are added. The auditor reports what stays broken for `settle`.
pub async fn read(
    ground: &Ground,
    log: &[Entry],
    known: &mut BTreeSet<Uuid>,
    settle: Duration,
) -> Result<(Account, Report)> {
    let sagas = sagas(ground).await?;
    let orders = orders(ground).await?;
    let ledger = ground.ledger().await?;
    let captured = live(&ledger["authorisations"], "captured");
    let booked = live(&ledger["shipments"], "booked");
    let mut account = Account::default();
    let mut unresolved = 0;
    for entry in log {
        account.unknown += entry.unknown;
        let id = match entry.told {
            Told::Accepted(id) => id,
            Told::Twice(id, other) => {
                account.doubled.push(format!("one key is orders {id} and {other}"));
                known.insert(other);
                id
            }
            Told::Unknown => {
                unresolved += 1;
                continue;
            }
            Told::Refused(_) => continue,
        };
        known.insert(id);
        account.accepted += 1;
        let of = |books: &BTreeMap<Uuid, usize>| books.get(&id).copied().unwrap_or_default();
        let effects = (of(&captured), of(&booked));
        if effects.0 > 1 || effects.1 > 1 {
            let (paid, sent) = effects;
            account.doubled.push(format!("order {id} was paid {paid} times, sent {sent} times"));
        }
        let Some(order) = orders.get(&id) else {
            account.lost.push(format!("order {id} was accepted and is not there"));
            continue;
        };
        account.slowest = account.slowest.max(order.took);
        let saga = sagas.get(&id).map(|(state, parked)| (state.as_str(), *parked));
        match (order.status.as_str(), saga) {
            (_, Some((_, true))) => account.parked += 1,
            ("confirmed", Some(("completed", _))) => {
                account.completed += 1;
                if !entry.kind.may_complete() {
                    account.doubled.push(format!("order {id}, {:?}, is completed", entry.kind));
                }
                if effects.0 == 0 || effects.1 == 0 {
                    let (paid, sent) = effects;
                    account.lost.push(format!("order {id} is completed, paid {paid}, sent {sent}"));
                }
            }
            // One that was cancelled before its saga began may have none.
            ("cancelled", None | Some(("compensated", _))) => {
                account.compensated += 1;
                if effects != (0, 0) {
                    let (paid, sent) = effects;
                    account.doubled.push(format!("order {id} is undone, paid {paid}, sent {sent}"));
                }
            }
            (status, saga) => {
                account.lost.push(format!("order {id} is {status}, its saga {saga:?}"));
            }
        }
    }
    let strays: Vec<&Uuid> = orders.keys().filter(|id| !known.contains(id)).collect();
    if strays.len() > unresolved {
        account.doubled.push(format!("{} orders are nobody's: {strays:?}", strays.len()));
    }
    known.extend(orders.keys());
    let options = Options { settle, ..Options::default() };
    Ok((account, audit::run(&ground.sources, &options).await?))
}

/// An order as the order service has it.
pub struct Order {
    status: String,
    took: Duration,
}

pub async fn orders(ground: &Ground) -> Result<BTreeMap<Uuid, Order>> {
    let rows = sqlx::query(
        "SELECT id, status, extract(epoch FROM updated_at - created_at)::float8 AS took FROM orders",
    )
    .fetch_all(ground.pool("order")?)
    .await?;
    let order = |row: &sqlx::postgres::PgRow| {
        let took: f64 = row.try_get("took")?;
        let took = Duration::try_from_secs_f64(took).unwrap_or_default();
        Ok((row.try_get("id")?, Order { status: row.try_get("status")?, took }))
    };
    rows.iter().map(order).collect()
}

/// State, and whether it is parked.
async fn sagas(ground: &Ground) -> Result<BTreeMap<Uuid, (String, bool)>> {
    let rows = sqlx::query("SELECT id, state, parked IS NOT NULL AS parked FROM saga")
        .fetch_all(ground.pool("orchestrator")?)
        .await?;
    let saga = |row: &sqlx::postgres::PgRow| {
        Ok((row.try_get("id")?, (row.try_get("state")?, row.try_get("parked")?)))
    };
    rows.iter().map(saga).collect()
}

/// How many records of this status each order has; their keys begin with its id.
fn live(records: &Value, status: &str) -> BTreeMap<Uuid, usize> {
    let mut counts = BTreeMap::new();
    for record in records.as_array().into_iter().flatten() {
        let id = record["key"].as_str().and_then(|key| key.split('/').next()?.parse().ok());
        if let (Some(id), true) = (id, record["status"] == status) {
            *counts.entry(id).or_default() += 1;
        }
    }
    counts
}
