//! What must be true of every order once things have calmed down, read from the books of those who
//! keep them: the order service's orders, the orchestrator's sagas, inventory's shelf, and the
//! gateway's and the carrier's own ledgers.

use crate::{PATIENCE, Stack, eventually};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sqlx::{Row, types::Uuid};
use std::{collections::BTreeMap, time::Duration};

struct Order {
    id: Uuid,
    status: String,
    amount: i64,
    /// Product → quantity.
    lines: BTreeMap<String, i64>,
}

impl Stack {
    /// Waits for every order to end and for everything to come to rest, then for each invariant
    /// to hold. Fails with the first that does not.
    pub async fn assert_conserved(&self) -> Result<()> {
        let conserved = self.conserved_within(PATIENCE).await;
        self.explained(None, conserved).await
    }

    /// The same, with a limit of your own and without telling why.
    pub async fn conserved_within(&self, limit: Duration) -> Result<()> {
        eventually(limit, "stock and money to be conserved", async || {
            let orders = self.ended_orders().await?;
            self.every_saga_has_ended(&orders).await?;
            self.stock_is_conserved(&orders).await?;
            let ledger = self.ledger().await?;
            for order in &orders {
                money_is_right(order, &ledger)?;
                parcels_are_right(order, &ledger)?;
            }
            nothing_is_nobodys(&orders, &ledger)
        })
        .await
    }

    async fn ended_orders(&self) -> Result<Vec<Order>> {
        let pool = self.database("order")?.pool();
        let waiting: i64 =
            sqlx::query_scalar("SELECT count(*) FROM outbox").fetch_one(pool).await?;
        ensure!(waiting == 0, "{waiting} messages are still in the order service's outbox");
        let rows =
            sqlx::query("SELECT id, status, amount, items FROM orders").fetch_all(pool).await?;
        rows.iter()
            .map(|row| {
                let (id, status): (Uuid, String) = (row.try_get("id")?, row.try_get("status")?);
                ensure!(status != "pending", "order {id} is still pending");
                let items: Value = row.try_get("items")?;
                let mut lines = BTreeMap::new();
                for item in items.as_array().context("items is no list")? {
                    let product = item["product_id"].as_str().context("no product_id")?;
                    *lines.entry(product.to_owned()).or_default() +=
                        item["quantity"].as_i64().context("no quantity")?;
                }
                Ok(Order { id, status, amount: row.try_get("amount")?, lines })
            })
            .collect()
    }

    async fn every_saga_has_ended(&self, orders: &[Order]) -> Result<()> {
        let sagas = self.list("orchestrator", "/api/v1/sagas").await?;
        let states: BTreeMap<_, _> = sagas
            .iter()
            .filter_map(|saga| Some((saga["saga_id"].as_str()?, saga["state"].as_str()?)))
            .collect();
        for (id, state) in &states {
            ensure!(["completed", "compensated"].contains(state), "saga {id} is {state}");
        }
        for order in orders {
            let id = order.id.to_string();
            let state = states.get(id.as_str()).copied();
            match order.status.as_str() {
                "confirmed" => ensure!(
                    state == Some("completed"),
                    "order {id} is confirmed, its saga is {state:?}"
                ),
                // One that was withdrawn before its saga began has none, or an undone one.
                _ => ensure!(
                    state != Some("completed"),
                    "order {id} is {}, its saga is {state:?}",
                    order.status
                ),
            }
        }
        Ok(())
    }

    async fn stock_is_conserved(&self, orders: &[Order]) -> Result<()> {
        let pool = self.database("inventory")?.pool();
        let wrong = sqlx::query(
            "SELECT product.product_id, initial + restocked AS all_in,
                    free + reserved + shipped AS all_there, reserved, shipped,
                    coalesce(sum(quantity) FILTER (WHERE status = 'held'), 0)::bigint AS held,
                    coalesce(sum(quantity) FILTER (WHERE status = 'shipped'), 0)::bigint AS gone
             FROM product LEFT JOIN hold USING (product_id) GROUP BY product.product_id
             HAVING initial + restocked <> free + reserved + shipped
                 OR reserved <> coalesce(sum(quantity) FILTER (WHERE status = 'held'), 0)
                 OR shipped <> coalesce(sum(quantity) FILTER (WHERE status = 'shipped'), 0)
                 OR least(free, reserved, shipped) < 0",
        )
        .fetch_all(pool)
        .await?;
        if let Some(row) = wrong.first() {
            let product: String = row.try_get("product_id")?;
            let number = |name: &str| row.try_get::<i64, _>(name);
            anyhow::bail!(
                "{product}: {} came in, {} are there; {} reserved, {} held; {} shipped, {} gone",
                number("all_in")?,
                number("all_there")?,
                number("reserved")?,
                number("held")?,
                number("shipped")?,
                number("gone")?,
            );
        }
        let mut holds: BTreeMap<Uuid, BTreeMap<(String, String), i64>> = BTreeMap::new();
        for row in sqlx::query("SELECT order_id, status, product_id, quantity FROM hold")
            .fetch_all(pool)
            .await?
        {
            let key = (row.try_get("status")?, row.try_get("product_id")?);
            holds
                .entry(row.try_get("order_id")?)
                .or_default()
                .insert(key, row.try_get("quantity")?);
        }
        for order in orders {
            let Order { id, status, lines, .. } = order;
            let held = holds.remove(id).unwrap_or_default();
            let expected = if status == "confirmed" { "shipped" } else { "released" };
            for (found, product) in held.keys() {
                ensure!(found == expected, "order {id} is {status}, its {product} is {found}");
            }
            if status == "confirmed" {
                let gone: BTreeMap<_, _> =
                    held.into_iter().map(|((_, product), quantity)| (product, quantity)).collect();
                ensure!(gone == *lines, "order {id} is confirmed with {lines:?}, {gone:?} shipped");
            }
        }
        let stray =
            holds.into_iter().find(|(_, lines)| lines.keys().any(|key| key.0 != "released"));
        ensure!(stray.is_none(), "stock is held for what is no order: {stray:?}");
        Ok(())
    }
}

/// Records of the ledger that belong to an order: their keys begin with its id.
fn records<'a>(ledger: &'a Value, kind: &str, id: &Uuid) -> Vec<&'a Value> {
    let prefix = format!("{id}/");
    let all = ledger[kind].as_array().into_iter().flatten();
    all.filter(|record| record["key"].as_str().is_some_and(|key| key.starts_with(&prefix)))
        .collect()
}

/// A confirmed order: captured once, the whole total. A cancelled one: nothing set aside or taken.
fn money_is_right(Order { id, status, amount, .. }: &Order, ledger: &Value) -> Result<()> {
    let records = records(ledger, "authorisations", id);
    let with =
        |wanted: &'static str| records.iter().filter(move |record| record["status"] == wanted);
    let open = with("authorised").count();
    ensure!(open == 0, "order {id} is {status}, {open} authorisations are left open");
    let captured: Vec<_> = with("captured").map(|record| record["amount"].as_i64()).collect();
    let expected = if status == "confirmed" { vec![Some(*amount)] } else { vec![] };
    ensure!(captured == expected, "order {id} of {amount} is {status}, captured: {captured:?}");
    Ok(())
}

/// A confirmed order has one parcel, a cancelled one none.
fn parcels_are_right(Order { id, status, .. }: &Order, ledger: &Value) -> Result<()> {
    let records = records(ledger, "shipments", id);
    let booked = records.iter().filter(|record| record["status"] == "booked").count();
    let expected = usize::from(status == "confirmed");
    ensure!(booked == expected, "order {id} is {status}, it has {booked} parcels");
    Ok(())
}

/// No money and no parcel without an order.
fn nothing_is_nobodys(orders: &[Order], ledger: &Value) -> Result<()> {
    for (kind, live) in
        [("authorisations", ["authorised", "captured"]), ("shipments", ["booked", ""])]
    {
        for record in ledger[kind].as_array().into_iter().flatten() {
            let key = record["key"].as_str().unwrap_or_default();
            let owned = orders.iter().any(|order| key.starts_with(&format!("{}/", order.id)));
            let is_live = record["status"].as_str().is_some_and(|status| live.contains(&status));
            ensure!(owned || !is_live, "{kind} has {key}, which is no order's");
        }
    }
    Ok(())
}
