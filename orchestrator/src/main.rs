//! `orchestrator` serves; `orchestrator migrate` applies the journal's migrations; `orchestrator
//! timeline <saga> [--wait <seconds>]` prints a saga's story.

use anyhow::bail;
use orchestrator::{MIGRATOR, config::Settings, serve::serve, timeline};
use runtime::{config, shutdown::Shutdown, telemetry};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] | ["serve"] => {
            telemetry::init("orchestrator");
            let settings = Settings::from_env()?;
            let catalogue = sagas::catalogue(settings.step_timeout, settings.step_attempts);
            serve(settings, catalogue, Shutdown::on_signals()).await?;
        }
        ["migrate"] => {
            telemetry::init("orchestrator");
            store::migrate::run(&config::database_url()?, &MIGRATOR).await?;
            tracing::info!("migrations applied");
        }
        ["timeline", saga] => timeline::print(saga.parse()?, 0).await?,
        ["timeline", saga, "--wait", seconds] => {
            timeline::print(saga.parse()?, seconds.parse()?).await?;
        }
        _ => bail!("usage: orchestrator [serve | migrate | timeline <saga> [--wait <seconds>]]"),
    }
    Ok(())
}
