//! What a client asks the stack.

use super::{SIMULATOR, Stack};
use anyhow::{Context, Result, ensure};
use contracts::SagaId;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

impl Stack {
    /// `http://127.0.0.1:<port><path>` of a process.
    pub fn url(&self, name: &str, path: &str) -> Result<String> {
        Ok(format!("http://127.0.0.1:{}{path}", self.process(name)?.port))
    }

    /// For any request that has no method of its own here.
    pub fn request(&self, method: Method, name: &str, path: &str) -> Result<RequestBuilder> {
        Ok(self.http.request(method, self.url(name, path)?))
    }

    /// The JSON of a `GET` that must succeed.
    pub async fn get(&self, name: &str, path: &str) -> Result<Value> {
        let answer = self.request(Method::GET, name, path)?.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{name} answered {status} for {path}: {text}");
        serde_json::from_str(&text).with_context(|| format!("{name} {path} gave no JSON: {text}"))
    }

    /// Every item of a list, page after page.
    pub async fn list(&self, name: &str, path: &str) -> Result<Vec<Value>> {
        let mut items = Vec::new();
        let mut next = None;
        loop {
            let cursor = next.map(|next: String| format!("&cursor={next}")).unwrap_or_default();
            let mut page = self.get(name, &format!("{path}?limit=200{cursor}")).await?;
            let Value::Array(more) = page["items"].take() else {
                anyhow::bail!("{name} {path} is no list: {page}")
            };
            items.extend(more);
            match page["next"].take() {
                Value::String(cursor) => next = Some(cursor),
                _ => return Ok(items),
            }
        }
    }

    /// Submits an order, which must be accepted.
    pub async fn order(&self, order: Value) -> Result<SagaId> {
        let request = self.request(Method::POST, "order", "/api/v1/orders")?.json(&order);
        let answer = request.send().await?;
        let status = answer.status();
        let body: Value = answer.json().await?;
        ensure!(status.as_u16() == 202, "the order was answered with {status}: {body}");
        let id = body["order_id"].as_str().context("no order_id in the answer")?;
        Ok(id.parse()?)
    }

    /// One line, a quantity of `prod_001`, paid with this method of the simulator.
    pub async fn order_paid_with(&self, method: &str, quantity: u32) -> Result<SagaId> {
        self.order(json!({
            "customer_id": "cust_123",
            "items": [{ "product_id": "prod_001", "quantity": quantity }],
            "payment_method": method,
        }))
        .await
    }

    /// An order whose shipment nobody books yet: shipping is stopped.
    pub async fn until_shipping(&mut self, country: &str) -> Result<SagaId> {
        if self.is_running("shipping")? {
            self.stop("shipping").await?;
        }
        let id = self
            .order(json!({
                "customer_id": "cust_123",
                "items": [{ "product_id": "prod_001", "quantity": 1 }],
                "ship_to": { "country": country },
            }))
            .await?;
        let asked = |saga: &Value| saga["waits"][0]["step"] == "book-shipment";
        self.wait_until(id, "shipping to be asked", asked).await?;
        Ok(id)
    }

    pub async fn saga(&self, id: SagaId) -> Result<Value> {
        let running = self.processes.iter().filter(|process| process.service == "orchestrator");
        let mut last = anyhow::anyhow!("there is no orchestrator in this stack");
        for process in running {
            match self.get(&process.name, &format!("/api/v1/sagas/{id}")).await {
                Ok(saga) => return Ok(saga),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// What the gateway and the carrier hold, whatever the services believe.
    pub async fn ledger(&self) -> Result<Value> {
        self.get(SIMULATOR, "/admin/ledger").await
    }

    /// `{"target": …, "mode": …}` as the simulator's admin endpoint takes it.
    pub async fn set_fault(&self, fault: Value) -> Result<()> {
        let request = self.request(Method::PUT, SIMULATOR, "/admin/faults")?.json(&fault);
        let answer = request.send().await?;
        let status = answer.status();
        ensure!(status.is_success(), "the fault was answered with {status}");
        Ok(())
    }
}
