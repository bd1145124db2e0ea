//! One order, driven through one fault.

use crate::{
    armed::Switch,
    ground::{ATTEMPTS, Arm, Ground},
    row::Row,
};
use anyhow::{Context, Result, ensure};
use contracts::{Leg, SagaId};
use messaging::Incoming;
use saga_core::StepKind;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::OnceLock};

/// How the saga has to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    Completed,
    /// With the cause, and the step that turned it round.
    Compensated(&'static str, &'static str),
}

/// Where a case plays.
pub struct Scene<'a> {
    pub ground: &'a Ground,
    pub row: &'a Row,
    /// Set as soon as there is an order, for whoever has to explain a failure.
    pub id: OnceLock<SagaId>,
}

pub struct Case<'a> {
    pub ground: &'a Ground,
    pub row: &'a Row,
    pub id: SagaId,
    pub ending: Ending,
    /// How often each command has to have been sent, where it is not once.
    pub attempts: BTreeMap<&'static str, u64>,
    /// Dead letters that have to be there: owner and reason.
    pub letters: Vec<(String, String)>,
}

pub const PIVOT: &str = "capture-payment";

impl<'a> Case<'a> {
    /// An order that reaches the row's leg: it completes, or it is refused at the pivot, so that
    /// everything is undone.
    pub async fn begin<const N: usize>(
        scene: &'a Scene<'a>,
        arms: [Arm<'_>; N],
    ) -> Result<(Self, [Switch; N])> {
        let (method, ending) = match scene.row.leg {
            Leg::Action => ("card_ok", Ending::Completed),
            Leg::Compensation => ("card_capture_fails", Ending::Compensated("refused", PIVOT)),
        };
        let (case, switches) = Self::with(scene, order(method), ending, &arms).await?;
        Ok((case, switches.try_into().ok().context("as many switches as were asked for")?))
    }

    pub async fn with(
        scene: &'a Scene<'a>,
        order: Value,
        ending: Ending,
        arms: &[Arm<'_>],
    ) -> Result<(Self, Vec<Switch>)> {
        let Scene { ground, row, .. } = scene;
        let (id, switches) = ground.place(&order, arms).await?;
        let _ = scene.id.set(id);
        let (attempts, letters) = (BTreeMap::new(), Vec::new());
        Ok((Case { ground, row, id, ending, attempts, letters }, switches))
    }

    pub fn saga(&self) -> String {
        self.id.to_string()
    }

    pub async fn look(&self) -> Result<Value> {
        self.ground.saga(self.id).await
    }

    /// Until it has acted so often.
    pub async fn fired(&self, switch: &Switch, what: &str, least: u64) -> Result<()> {
        self.ground
            .until(what, async || {
                let fired = switch.fired();
                ensure!(fired >= least, "{fired} times of {least}");
                Ok(())
            })
            .await
    }

    /// Makes the time come for which the saga waits, now: the attempt's answer is overdue, or its
    /// rest is over.
    pub async fn hasten(&self, step: &str, attempt: u64) -> Result<()> {
        let what = format!("attempt {attempt} of {step} to be waited for");
        self.ground
            .until(&what, async || {
                let hastened = sqlx::query(
                    "UPDATE saga SET wake_at = now(), look_at = now(),
                         steps = jsonb_set(steps, ARRAY[$2, 'wake'], '0')
                     WHERE id = $1 AND (steps -> $2 ->> 'attempt')::bigint = $3
                       AND steps -> $2 ->> 'wake' IS NOT NULL",
                )
                .bind(self.id.0)
                .bind(step)
                .bind(i64::try_from(attempt)?)
                .execute(self.ground.pool("orchestrator"))
                .await?;
                ensure!(hastened.rows_affected() == 1, "the saga waits for something else");
                Ok(())
            })
            .await
    }

    /// Lets all the attempts of the row's leg pass in silence, as each of them is lost.
    pub async fn exhaust(&mut self, lost: &Switch) -> Result<()> {
        for attempt in 1..=ATTEMPTS {
            self.fired(lost, "the message to be lost", attempt).await?;
            self.hasten(self.row.step, attempt).await?;
        }
        self.attempts.insert(self.row.command, ATTEMPTS);
        match self.row.may_be_given_up() {
            true => {
                self.ending = Ending::Compensated("unanswered", self.row.step);
                self.ground
                    .until("the step to be given up", async || {
                        let state = self.look().await?["state"].take();
                        let back = ["compensating", "compensated"];
                        ensure!(back.iter().any(|word| state == **word), "it is {state}");
                        Ok(())
                    })
                    .await
            }
            false => self.parked().await,
        }
    }

    /// Until the row's leg is parked.
    pub async fn parked(&self) -> Result<()> {
        self.ground
            .until("the leg to be parked", async || {
                let saga = self.look().await?;
                let parked = &saga["parked"];
                let leg = self.row.leg.as_str();
                let here = parked["step"] == self.row.step && parked["leg"] == leg;
                ensure!(here, "it is {}, parked: {parked}", saga["state"]);
                Ok(())
            })
            .await
    }

    /// As an operator does, once the cause is gone.
    pub async fn resume(&mut self) -> Result<()> {
        let path = format!("/api/v1/sagas/{}/resume", self.id);
        let status = self.ground.post(&path).await?;
        ensure!(status.as_u16() == 202, "resume was answered with {status}");
        *self.attempts.entry(self.row.command).or_insert(ATTEMPTS) += 1;
        Ok(())
    }

    /// The command of the row's leg, as it was first sent.
    pub async fn command(&self) -> Result<Incoming> {
        let what = format!("{} to be asked for", self.row.command);
        self.ground
            .until(&what, async || {
                let mut seen = self.ground.tap.commands(&self.saga(), self.row.command);
                ensure!(!seen.is_empty(), "it is not");
                Ok(seen.swap_remove(0))
            })
            .await
    }

    /// The replies to the row's leg, once there are so many.
    pub async fn replies(&self, least: usize) -> Result<Vec<Incoming>> {
        let what = format!("{least} replies to {}", self.row.command);
        self.ground
            .until(&what, async || {
                let seen = self.ground.tap.replies(&self.saga(), self.row.command);
                ensure!(seen.len() >= least, "there are {}", seen.len());
                Ok(seen)
            })
            .await
    }

    /// The saga, once it has ended.
    pub async fn ended(&self) -> Result<Value> {
        self.ground
            .until("the saga to end", async || {
                let saga = self.look().await?;
                ensure!(!saga["ended_at"].is_null(), "it is {}: {}", saga["state"], saga["waits"]);
                Ok(saga)
            })
            .await
    }

    /// That nothing moves the saga any more: `before` is what it looked like.
    pub async fn unmoved(&self, before: &Value) -> Result<()> {
        let now = self.look().await?;
        let moved = now["history"] != before["history"] || now["state"] != before["state"];
        ensure!(!moved, "it moved from {} to {}", before["history"], now["history"]);
        Ok(())
    }

    /// The row's leg goes on, and needs a leg that can only be retried.
    pub fn goes_on(&self) -> bool {
        self.row.leg == Leg::Compensation || self.row.kind != StepKind::Compensatable
    }
}

/// One `prod_001`, paid with this method of the simulator.
pub fn order(method: &str) -> Value {
    json!({
        "customer_id": "cust_123",
        "items": [{ "product_id": "prod_001", "quantity": 1 }],
        "payment_method": method,
    })
}
