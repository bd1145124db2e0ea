//! `orchestrator` serves; `orchestrator migrate` applies the journal's migrations.

use anyhow::bail;
use orchestrator::{MIGRATOR, config::Settings, serve::serve};
use runtime::{config, shutdown::Shutdown, telemetry};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] | ["serve"] => {
            telemetry::init("orchestrator");
            let settings = Settings::from_env()?;
            let catalogue = sagas::catalogue(settings.patience);
            serve(settings, catalogue, Shutdown::on_signals()).await?;
        }
        ["migrate"] => {
            telemetry::init("orchestrator");
            store::migrate::run(&config::database_url()?, &MIGRATOR).await?;
            tracing::info!("migrations applied");
        }
        _ => bail!("usage: orchestrator [serve | migrate]"),
    }
    Ok(())
}
