use order::{
    api::{self, Api},
    at_risk,
    orchestrator::Orchestrator,
};
use runtime::{config, http_client};
use std::sync::Arc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = config::env("ORCHESTRATOR_URL", Some("http://127.0.0.1:8000".to_owned()))?;
    let orchestrator = Orchestrator::new(&url, http_client::client()?);
    order::worker()
        .migrations(&order::MIGRATOR)
        .port(8001)
        .routes(move |context| {
            let (pool, relay) = (context.pool.clone(), context.relay.clone());
            tokio::spawn(at_risk::watch(pool.clone(), context.shutdown.clone()));
            api::router(Api { pool, orchestrator, nudge: Arc::new(move || relay.nudge()) })
        })
        .run_until_signal()
        .await?;
    Ok(())
}
