//! PostgreSQL that crashes.

use crate::{load, on_stack};
use anyhow::{Context, Result, ensure};
use reqwest::{Method, header::RETRY_AFTER};
use std::time::Duration;
use testkit::With;
use tokio::{task::JoinSet, time::timeout};

/// For an answer to whoever submits an order.
const LIMIT: Duration = Duration::from_secs(5);

#[tokio::test]
async fn while_postgres_is_down_orders_are_put_off_and_afterwards_all_are_finished() -> Result<()> {
    on_stack(&[With::OwnPostgres], async |stack| {
        let mut orders = load::submit(stack, 24).await?;
        stack.postgres("kill").await?;
        let mut asked = JoinSet::new();
        for n in 0..3 {
            let request = stack.request(Method::POST, "order", "/api/v1/orders")?;
            asked.spawn(timeout(LIMIT, request.json(&load::order(n)).send()));
        }
        while let Some(answer) = asked.join_next().await {
            let answer = answer?.context("no answer in time")??;
            ensure!(answer.status() == 503, "{}", answer.status());
            let later = answer.headers().get(RETRY_AFTER).map(|later| later.to_str());
            let later: u32 = later.transpose()?.unwrap_or_default().parse()?;
            ensure!(later > 0, "no Retry-After");
        }
        stack.postgres("start").await?;
        stack.wait_all_ready().await?;
        orders.push(load::insist(stack, 0).await?);
        load::end(stack, &orders).await?;
        load::nothing_was_given_up(stack).await
    })
    .await
}
