//! The simulated gateway, carrier and webhook receiver on port 8010.
//!
//! `SIMULATOR_STATE` names the file that keeps their state; without it the state dies with the
//! process.

use anyhow::Context;
use runtime::{config, health::Health, http, shutdown::Shutdown, telemetry, trace};
use simulator::Simulator;
use std::path::PathBuf;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    telemetry::init("simulator");
    let state = std::env::var_os("SIMULATOR_STATE").filter(|path| !path.is_empty());
    let state = state.map(PathBuf::from);
    let (bind, port) = config::http_address(8010)?;
    let simulator = Simulator::open(state.as_deref()).context("cannot take up the state")?;
    tracing::info!(state = ?state, port, "simulating gateway, carrier and webhook receiver");
    http::serve(bind, port, simulator.router(), Health::new(), Shutdown::on_signals()).await?;
    trace::flush().await;
    Ok(())
}
