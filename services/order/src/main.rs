use order::{
    Intake,
    api::{self, Api},
    at_risk,
    orchestrator::Orchestrator,
    starts,
};
use runtime::{config, http_client};
use std::{sync::Arc, time::Duration};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = config::env("ORCHESTRATOR_URL", Some("http://127.0.0.1:8000".to_owned()))?;
    let orchestrator = Orchestrator::new(&url, http_client::client()?);
    let patience = config::seconds("START_PATIENCE", Some(Duration::from_secs(30)))?;
    order::worker()
        .migrations(&order::MIGRATOR)
        .port(8001)
        .routes(move |context| {
            let (pool, relay) = (context.pool.clone(), context.relay.clone());
            let shutdown = &context.shutdown;
            tokio::spawn(at_risk::watch(pool.clone(), shutdown.clone()));
            let nudged = relay.clone();
            let nudge = move || nudged.nudge();
            tokio::spawn(starts::watch(pool.clone(), patience, nudge, shutdown.clone()));
            let intake = Intake::start(pool.clone());
            let nudge = Arc::new(move || relay.nudge());
            api::router(Api { pool, intake, orchestrator, nudge })
        })
        .run_until_signal()
        .await?;
    Ok(())
}
