use runtime::config;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let order = config::env("ORDER_URL", Some(String::new()))?;
    inventory::worker()
        .migrations(&inventory::MIGRATOR)
        .retold_by("order", &order)
        .port(8002)
        .routes(|context| inventory::api::router(context.pool.clone()))
        .run_until_signal()
        .await?;
    Ok(())
}
