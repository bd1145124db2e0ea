//! RabbitMQ that crashes, and queues that vanish.

use crate::{load, on_stack};
use anyhow::{Context, Result, ensure};
use std::time::{Duration, Instant};
use testkit::With;

#[tokio::test]
async fn while_rabbitmq_is_down_orders_are_accepted_and_afterwards_all_are_finished() -> Result<()>
{
    on_stack(&[With::OwnRabbitmq], async |stack| {
        // Queues declared within half a second of a crash may come back without anybody to serve
        // them (RabbitMQ 3.10 saves its directory of quorum queues that late), which is no
        // promise of ours: these orders see to it that the queues are older.
        let mut orders = load::submit(stack, 16).await?;
        load::end(stack, &orders).await?;
        orders.extend(load::submit(stack, 24).await?);
        stack.rabbitmq("kill").await?;
        for n in 0..3 {
            let asked = Instant::now();
            orders.push(stack.order(load::order(n)).await.context("while RabbitMQ is down")?);
            let took = asked.elapsed();
            ensure!(took < Duration::from_secs(5), "the answer took {took:?}");
        }
        stack.rabbitmq("start").await?;
        stack.wait_all_ready().await?;
        load::end(stack, &orders).await?;
        load::nothing_was_given_up(stack).await
    })
    .await
}
