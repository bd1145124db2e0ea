#[tokio::main]
async fn main() -> anyhow::Result<()> {
    analytics::worker()
        .migrations(&analytics::MIGRATOR)
        .port(8006)
        .routes(|context| analytics::api::router(context.pool.clone()))
        .run_until_signal()
        .await?;
    Ok(())
}
