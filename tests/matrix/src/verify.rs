//! What has to be true of an order when its cell is over.

use crate::case::{Case, Ending};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sqlx::Row as _;
use std::collections::BTreeMap;

impl Case<'_> {
    /// Waits for the expected ending, and then for everybody's books to agree with it.
    pub async fn verify(&self) -> Result<()> {
        let (state, status) = match self.ending {
            Ending::Completed => ("completed", "confirmed"),
            Ending::Compensated(..) => ("compensated", "cancelled"),
        };
        let what = format!("the saga to be {state}");
        let saga = self
            .ground
            .until(&what, async || {
                let saga = self.look().await?;
                ensure!(saga["state"] == state, "it is {}: {}", saga["state"], saga["waits"]);
                Ok(saga)
            })
            .await?;
        if let Ending::Compensated(cause, step) = self.ending {
            let told = &saga["cause"];
            let right = told["cause"] == cause && told["step"] == step;
            ensure!(right, "expected {cause} by {step}, and it is {told}");
        }
        self.was_sent(&saga)?;
        self.ground
            .until("the books to agree", async || {
                self.order_is(status).await?;
                self.stock_is(status).await?;
                self.outside_is(status).await?;
                self.customer_is_told(status).await?;
                self.inboxes_agree().await?;
                self.letters_are_there()
            })
            .await?;
        self.happened_once().await
    }

    /// Each leg as often as it has to have been, and each was answered once.
    fn was_sent(&self, saga: &Value) -> Result<()> {
        for step in saga["steps"].as_array().context("no steps")? {
            for leg in [step, &step["compensation"]] {
                let Some(sent) = leg["attempts"].as_u64().filter(|sent| *sent > 0) else {
                    continue;
                };
                let command = leg["command"].as_str().context("no command")?;
                let wanted = self.attempts.get(command).copied().unwrap_or(1);
                ensure!(sent == wanted, "{command} was sent in {sent} attempts, not in {wanted}");
            }
        }
        Ok(())
    }

    async fn order_is(&self, status: &str) -> Result<()> {
        let order = self.ground.get("order", &format!("/api/v1/orders/{}", self.id)).await?;
        ensure!(order["status"] == status, "the order is {}", order["status"]);
        Ok(())
    }

    async fn stock_is(&self, status: &str) -> Result<()> {
        let rows = sqlx::query("SELECT status, quantity FROM hold WHERE order_id = $1")
            .bind(self.id.0)
            .fetch_all(self.ground.pool("inventory"))
            .await?;
        let mut held: BTreeMap<String, i64> = BTreeMap::new();
        for row in rows {
            *held.entry(row.try_get("status")?).or_default() +=
                row.try_get::<i64, _>("quantity")?;
        }
        match status {
            "confirmed" => {
                let shipped = BTreeMap::from([("shipped".to_owned(), 1)]);
                ensure!(held == shipped, "of 1 unit, the stock is {held:?}");
            }
            _ => ensure!(held.keys().all(|word| word == "released"), "stock is left: {held:?}"),
        }
        Ok(())
    }

    /// The gateway's and the carrier's own books.
    async fn outside_is(&self, status: &str) -> Result<()> {
        let ledger =
            self.ground.get("simulator", &format!("/admin/ledger?key={}", self.id)).await?;
        let count = |kind: &str, word: &str| {
            let records = ledger[kind].as_array().into_iter().flatten();
            records.filter(|record| record["status"] == word).count()
        };
        let found = [
            count("authorisations", "authorised"),
            count("authorisations", "captured"),
            count("shipments", "booked"),
        ];
        let wanted = if status == "confirmed" { [0, 1, 1] } else { [0, 0, 0] };
        ensure!(found == wanted, "[authorised, captured, booked] is {found:?}, not {wanted:?}");
        Ok(())
    }

    async fn customer_is_told(&self, status: &str) -> Result<()> {
        let told: Vec<String> =
            sqlx::query_scalar("SELECT status FROM notification WHERE order_id = $1")
                .bind(self.id.0)
                .fetch_all(self.ground.pool("notification"))
                .await?;
        let wanted: &[&str] = if status == "confirmed" { &["sent"] } else { &[] };
        ensure!(told == wanted, "the customer's messages are {told:?}");
        Ok(())
    }

    /// Whatever is done is wanted, or undone; nothing is under way.
    async fn inboxes_agree(&self) -> Result<()> {
        for participant in crate::ground::PARTICIPANTS {
            let rows = sqlx::query(
                "SELECT step, leg, kind, coalesce(outcome, '') AS outcome
                 FROM inbox WHERE saga_id = $1",
            )
            .bind(self.id.0)
            .fetch_all(self.ground.pool(participant))
            .await?;
            let mut legs: BTreeMap<(String, String), (String, String)> = BTreeMap::new();
            for row in rows {
                let key = (row.try_get("step")?, row.try_get("leg")?);
                legs.insert(key, (row.try_get("kind")?, row.try_get("outcome")?));
            }
            for ((step, leg), (kind, outcome)) in &legs {
                ensure!(kind != "intent", "{participant} has not finished the {leg} of {step}");
                let done = outcome == "done";
                match self.ending {
                    Ending::Completed => {
                        let right = leg == "action" && done;
                        ensure!(right, "the {leg} of {step} is {outcome} in a completed saga");
                    }
                    Ending::Compensated(..) if leg == "action" && done => {
                        let undo = legs.get(&(step.clone(), "compensation".to_owned()));
                        let undone = undo.is_some_and(|(_, outcome)| outcome == "done");
                        ensure!(undone, "{step} is done and not undone");
                    }
                    Ending::Compensated(..) => {}
                }
            }
        }
        Ok(())
    }

    fn letters_are_there(&self) -> Result<()> {
        let letters = self.ground.tap.dead_letters(&self.saga());
        let mut found: Vec<(String, String)> = letters
            .iter()
            .map(|letter| {
                let owner = letter.key.trim_end_matches(".dead-letters").to_owned();
                let reason = letter.headers.text("dead-reason").unwrap_or("no reason");
                (owner, reason.to_owned())
            })
            .collect();
        let mut wanted = self.letters.clone();
        found.sort();
        wanted.sort();
        ensure!(found == wanted, "the dead letters are {found:?}, not {wanted:?}");
        Ok(())
    }

    /// The journal knows one *done* for each leg.
    async fn happened_once(&self) -> Result<()> {
        let twice: Vec<String> = sqlx::query_scalar(
            "SELECT step || ' ' || leg FROM saga_event
             WHERE saga_id = $1 AND event = 'replied' AND outcome = 'done'
             GROUP BY step, leg HAVING count(*) > 1",
        )
        .bind(self.id.0)
        .fetch_all(self.ground.pool("orchestrator"))
        .await?;
        ensure!(twice.is_empty(), "done more than once: {twice:?}");
        Ok(())
    }
}
