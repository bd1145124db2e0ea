//! An orchestrator with a catalogue of its own; see docs/writing-a-saga.md.

mod trip;

use orchestrator::{config::Settings, serve::serve};
use runtime::{shutdown::Shutdown, telemetry};
use saga_core::Catalogue;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    telemetry::init("travel");
    let settings = Settings::from_env()?;
    let catalogue = Catalogue::default().with(trip::BookTrip::definition());
    serve(settings, catalogue, Shutdown::on_signals()).await?;
    Ok(())
}
