#[tokio::main]
async fn main() -> anyhow::Result<()> {
    inventory::worker()
        .migrations(&inventory::MIGRATOR)
        .port(8002)
        .routes(|context| inventory::api::router(context.pool.clone()))
        .run_until_signal()
        .await?;
    Ok(())
}
