//! The real orchestrator with the benchmark's saga instead of orders.

use orchestrator::{MIGRATOR, config::Settings, serve::serve};
use runtime::{config, shutdown::Shutdown, telemetry};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    telemetry::init("orchestrator");
    if std::env::args().nth(1).as_deref() == Some("migrate") {
        store::migrate::run(&config::database_url()?, &MIGRATOR).await?;
    } else {
        serve(Settings::from_env()?, bench::saga::catalogue(), Shutdown::on_signals()).await?;
    }
    Ok(())
}
