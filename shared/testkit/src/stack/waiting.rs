//! Waiting for a saga or an order to get somewhere, and telling what it did instead.

use super::Stack;
use crate::{PATIENCE, eventually};
use anyhow::{Result, ensure};
use contracts::SagaId;
use serde_json::Value;
use std::{fmt::Write, sync::atomic::Ordering};

impl Stack {
    /// Until the saga's `state` is `state`; answers the saga.
    pub async fn wait_saga(&self, id: SagaId, state: &str) -> Result<Value> {
        let what = format!("saga {id} to be {state}");
        let reached = eventually(PATIENCE, &what, async || {
            let saga = self.saga(id).await?;
            ensure!(saga["state"] == state, "it is {}, parked: {}", saga["state"], saga["parked"]);
            Ok(saga)
        })
        .await;
        self.explained(Some(id), reached).await
    }

    /// Until the order's `status` is `status`; answers the order.
    pub async fn wait_order(&self, id: SagaId, status: &str) -> Result<Value> {
        let what = format!("order {id} to be {status}");
        let reached = eventually(PATIENCE, &what, async || {
            let order = self.get("order", &format!("/api/v1/orders/{id}")).await?;
            ensure!(order["status"] == status, "it is {}: {}", order["status"], order["reason"]);
            Ok(order)
        })
        .await;
        self.explained(Some(id), reached).await
    }

    /// Until a condition on the saga holds.
    pub async fn wait_until(
        &self,
        id: SagaId,
        what: &str,
        holds: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let reached = eventually(PATIENCE, what, async || {
            let saga = self.saga(id).await?;
            ensure!(holds(&saga), "the saga is {}", saga["state"]);
            Ok(saga)
        })
        .await;
        self.explained(Some(id), reached).await
    }

    /// A failure, with the saga's timeline and the ends of the logs on standard error.
    pub(crate) async fn explained<T>(&self, saga: Option<SagaId>, result: Result<T>) -> Result<T> {
        if result.is_err() && !self.told.swap(true, Ordering::Relaxed) {
            let mut story = String::new();
            match saga {
                Some(id) => story += &self.timeline(id).await,
                None => story += &self.open_timelines().await,
            }
            for process in &self.processes {
                let _ = writeln!(story, "──── {} ────\n{}", process.name, process.tail());
            }
            eprintln!("{story}");
        }
        result
    }

    /// A failure found by the test itself, with the same story as a wait that gave up; told once.
    pub async fn explain<T>(&self, result: Result<T>) -> Result<T> {
        self.explained(None, result).await
    }

    /// The timelines of sagas that have not ended, of some if there are many.
    async fn open_timelines(&self) -> String {
        let mut text = String::new();
        let listed = self.list("orchestrator", "/api/v1/sagas").await.unwrap_or_default();
        let open = listed.iter().filter(|saga| saga["ended_at"].is_null());
        for saga in open.filter_map(|saga| saga["saga_id"].as_str()?.parse().ok()).take(5) {
            text += &self.timeline(saga).await;
        }
        text
    }

    /// One line for each entry of the saga's history.
    pub async fn timeline(&self, id: SagaId) -> String {
        let saga = match self.saga(id).await {
            Ok(saga) => saga,
            Err(error) => return format!("saga {id} cannot be read: {error:#}\n"),
        };
        let mut text = format!("saga {id} is {}, parked: {}\n", saga["state"], saga["parked"]);
        for entry in saga["history"].as_array().into_iter().flatten() {
            let rest = ["step", "leg", "attempt", "outcome"].map(|key| word(&entry[key]));
            let (at, event) = (word(&entry["at"]), word(&entry["event"]));
            let _ = writeln!(text, "  {at}  {event:<24} {}", rest.join(" "));
        }
        text
    }
}

fn word(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
