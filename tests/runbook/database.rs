//! PostgreSQL, away.

use crate::{desk::readiness, walk};
use anyhow::{Result, ensure};
use reqwest::Method;
use serde_json::json;
use testkit::{PATIENCE, SERVICES, With, eventually};

#[tokio::test]
async fn while_the_databases_are_down_readiness_names_them_and_orders_are_put_off() -> Result<()> {
    walk("A database is down", &[With::OwnPostgres], async |stack, desk| {
        let id = stack.order_paid_with("card_ok", 1).await?;
        stack.postgres("stop").await?;
        for service in SERVICES {
            eventually(PATIENCE, "each to notice it, busy or not", async || {
                let (status, body) = readiness(stack, service).await?;
                ensure!(status == 503, "{service}: {body}");
                desk.sees("database", &body)
            })
            .await?;
        }
        let order = json!({ "customer_id": "cust_123",
                            "items": [{ "product_id": "prod_001", "quantity": 1 }] });
        let asked = stack.request(Method::POST, "order", "/api/v1/orders")?.json(&order);
        let status = asked.send().await?.status().as_u16().to_string();
        desk.sees("503", &status)?;

        stack.postgres("start").await?;
        stack.wait_all_ready().await?;
        stack.wait_saga(id, "completed").await?;
        Ok(())
    })
    .await
}
