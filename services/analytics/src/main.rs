use runtime::config;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let order = config::env("ORDER_URL", Some(String::new()))?;
    analytics::worker()
        .migrations(&analytics::MIGRATOR)
        .retold_by("order", &order)
        .port(8006)
        .routes(|context| analytics::api::router(context.pool.clone()))
        .run_until_signal()
        .await?;
    Ok(())
}
