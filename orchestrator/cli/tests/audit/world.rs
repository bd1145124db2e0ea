//! A stack on which orders have ended in every way that they can.

use anyhow::{Context, Result, ensure};
use contracts::SagaId;
use reqwest::{Method, Url};
use runtime::config::Redacted;
use sagactl::audit::{SERVICES, Sources};
use serde_json::{Value, json};
use testkit::{Instances, Stack, With};

/// As the stack's orchestrator has it.
pub const ATTEMPTS: u8 = 2;

pub struct World {
    pub stack: Stack,
    pub instances: Instances,
    pub completed: SagaId,
    pub declined: SagaId,
    pub sold_out: SagaId,
    pub undeliverable: SagaId,
    /// Its parcel was booked, and cancelled when the money could not be taken.
    pub uncapturable: SagaId,
    pub withdrawn: SagaId,
    /// Open, and parked after its pivot.
    pub parked: SagaId,
}

impl World {
    pub async fn with_every_ending() -> Result<Self> {
        let mut stack =
            Stack::start(&[With::Env("orchestrator", "SAGA_STEP_ATTEMPTS", "2")]).await?;
        let completed = stack.order(order("card_ok", &["prod_001", "prod_005"], "DE")).await?;
        let flaky = stack.order(order("card_flaky", &["prod_001"], "DE")).await?;
        let declined = stack.order(order("card_declined", &["prod_001"], "DE")).await?;
        let sold_out = stack.order(order("card_ok", &["prod_024"], "DE")).await?;
        let undeliverable = stack.order(order("card_ok", &["prod_001"], "XX")).await?;
        let uncapturable = stack.order(order("card_capture_fails", &["prod_002"], "DE")).await?;
        for id in [completed, flaky] {
            stack.wait_saga(id, "completed").await?;
        }
        for id in [declined, sold_out, undeliverable, uncapturable] {
            stack.wait_saga(id, "compensated").await?;
        }
        let withdrawn = withdrawn(&mut stack).await?;
        without_an_order(&stack).await?;
        let parked = parked(&mut stack).await?;
        let instances = Instances::shared()?;
        Ok(World {
            stack,
            instances,
            completed,
            declined,
            sold_out,
            undeliverable,
            uncapturable,
            withdrawn,
            parked,
        })
    }

    /// Everything that there is to read.
    pub fn sources(&self) -> Result<Sources> {
        let mut sources = Sources::none()?
            .with_simulator(Redacted::new(self.stack.url("simulator", "")?))
            .with_broker(
                Redacted::new(self.instances.management.as_str()),
                self.stack.vhost().name(),
            );
        for service in SERVICES {
            sources = sources.with_database(service, self.database(service)?);
        }
        Ok(sources)
    }

    pub fn database(&self, service: &str) -> Result<Redacted> {
        Ok(Redacted::new(self.stack.database(service)?.url()))
    }

    pub fn unreachable(&self) -> Redacted {
        Redacted::new("postgres://nobody@127.0.0.1:1/nothing")
    }

    /// All but the simulator, whose books are to be read: nobody holds on to a database, and what
    /// is changed stays as it is.
    pub async fn stop_services(&mut self) -> Result<()> {
        for service in SERVICES {
            if self.stack.is_running(service)? {
                self.stack.stop(service).await?;
            }
        }
        Ok(())
    }

    /// As the superuser.
    pub fn superuser(&self, database: &str) -> Url {
        let mut url = self.instances.database.clone();
        url.set_path(database);
        url
    }
}

fn order(method: &str, products: &[&str], country: &str) -> Value {
    let items: Vec<_> =
        products.iter().map(|product| json!({ "product_id": product, "quantity": 2 })).collect();
    json!({
        "customer_id": "cust_mail_sms", "items": items, "payment_method": method,
        "ship_to": { "country": country },
    })
}

/// Withdrawn by the customer while the carrier is being asked.
async fn withdrawn(stack: &mut Stack) -> Result<SagaId> {
    stack.stop("shipping").await?;
    let id = stack.order(order("card_ok", &["prod_003"], "DE")).await?;
    stack
        .wait_until(id, "shipping to be asked", |saga| saga["waits"][0]["step"] == "book-shipment")
        .await?;
    let path = format!("/api/v1/orders/{id}");
    let answer = stack.request(Method::DELETE, "order", &path)?.send().await?;
    ensure!(answer.status().as_u16() == 202, "withdrawal answered with {}", answer.status());
    stack.restart("shipping").await?;
    stack.wait_saga(id, "compensated").await?;
    Ok(id)
}

/// A saga that somebody starts without an order: its first step is refused.
async fn without_an_order(stack: &Stack) -> Result<()> {
    let input = json!({
        "customer_id": "cust_123", "lines": [], "total": { "amount": 1, "currency": "EUR" },
        "payment_method": "card_ok", "ship_to": { "country": "DE" },
    });
    let body = json!({ "definition": "place-order", "input": input });
    let answer =
        stack.request(Method::POST, "orchestrator", "/api/v1/sagas")?.json(&body).send().await?;
    let status = answer.status();
    let started: Value = answer.json().await?;
    ensure!(status.is_success(), "the start was answered with {status}: {started}");
    let id = started["saga_id"].as_str().context("no saga_id")?.parse()?;
    stack.wait_saga(id, "compensated").await?;
    Ok(())
}

/// The customer cannot be told: nobody answers, twice.
async fn parked(stack: &mut Stack) -> Result<SagaId> {
    stack.set_env("orchestrator", "SAGA_STEP_TIMEOUT", "4")?;
    stack.restart("orchestrator").await?;
    stack.stop("notification").await?;
    let id = stack.order(order("card_ok", &["prod_004"], "DE")).await?;
    stack.wait_until(id, "the saga to be parked", |saga| !saga["parked"].is_null()).await?;
    // The orders that follow are told again.
    stack.stop("orchestrator").await?;
    stack.set_env("orchestrator", "SAGA_STEP_TIMEOUT", "0")?;
    stack.restart("orchestrator").await?;
    Ok(id)
}
