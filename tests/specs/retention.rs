//! Sagas that ended long enough ago are removed, by two orchestrators at once, while orders go
//! through; what is open stays however old it is, and the auditor can tell removed from lost.

use anyhow::{Result, ensure};
use serde_json::json;
use sqlx::PgPool;
use testkit::{PATIENCE, Stack, With, eventually};

#[tokio::test]
async fn old_sagas_go_with_their_histories_while_orders_go_through_and_open_ones_stay() -> Result<()>
{
    let options = [With::Orchestrators(2), With::EnvOfAll("SAGA_RETENTION", "1h")];
    let mut stack = Stack::start(&options).await?;
    let kept = spec(&mut stack).await;
    // The usual audit wants a saga of every order, which is not to be had here: sagactl's can tell.
    stack.explain(kept).await
}

async fn spec(stack: &mut Stack) -> Result<()> {
    let journal = stack.database("orchestrator")?.pool().clone();
    for _ in 0..10 {
        let id = stack.order_paid_with("card_ok", 1).await?;
        stack.wait_saga(id, "completed").await?;
    }
    let declined = stack.order_paid_with("card_declined", 1).await?;
    stack.wait_saga(declined, "compensated").await?;
    stack.stop("shipping").await?;
    let open = stack.order_paid_with("card_ok", 1).await?;
    eventually(PATIENCE, "the saga to begin", async || stack.saga(open).await).await?;
    ensure!(sagas(&journal).await? == 12);

    // A day goes by; then more orders come.
    let moved = sqlx::query(
        "UPDATE saga SET created_at = created_at - interval '1 day',
                ended_at = ended_at - interval '1 day'",
    );
    moved.execute(&journal).await?;
    let mut young = Vec::new();
    for _ in 0..20 {
        young.push(
            stack
                .order(json!({
                    "customer_id": "cust_123",
                    "items": [{ "product_id": "prod_024", "quantity": 1 }],
                }))
                .await?,
        );
    }
    for id in &young {
        stack.wait_saga(*id, "compensated").await?;
    }
    // Looked for every minute; a start finds them at once.
    stack.restart("orchestrator-2").await?;
    eventually(PATIENCE, "the old sagas to be removed", async || {
        let there = sagas(&journal).await?;
        ensure!(there == 21, "{there} sagas are there");
        Ok(())
    })
    .await?;
    for id in &young {
        stack.wait_saga(*id, "compensated").await?;
    }
    let orphans: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM saga_event WHERE saga_id NOT IN (SELECT id FROM saga)",
    )
    .fetch_one(&journal)
    .await?;
    ensure!(orphans == 0, "{orphans} lines of histories without a saga");
    stack.restart("shipping").await?;
    stack.wait_saga(open, "completed").await?;
    Ok(())
}

async fn sagas(journal: &PgPool) -> Result<i64> {
    Ok(sqlx::query_scalar("SELECT count(*) FROM saga").fetch_one(journal).await?)
}
