//! The shipping service on port 8005; `shipping migrate` prepares its database.

use anyhow::Context as _;
use contracts::shipping::{BookShipment, CancelShipment};
use runtime::{
    config::{self, Redacted},
    resilience::{Breaker, BreakerPolicy},
    telemetry,
};
use shipping::{MIGRATOR, Shipping, api, carrier::HttpCarrier};
use std::{num::NonZero, time::Duration};
use worker::Worker;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    telemetry::init("shipping");
    Worker::from_env("shipping", shipping()?)?
        .pair_outside::<BookShipment, CancelShipment>()
        .routes(|context| api::router(context.pool.clone()))
        .migrations(&MIGRATOR)
        .port(8005)
        .run_until_signal()
        .await?;
    Ok(())
}

fn shipping() -> anyhow::Result<Shipping<HttpCarrier>> {
    let default = Redacted::new("http://127.0.0.1:8010/carrier");
    let url = config::env("CARRIER_URL", Some(default))?;
    let limit = config::env("CARRIER_TIMEOUT_MS", NonZero::new(3000_u64))?;
    tracing::info!(%url, limit_ms = limit, "carrier");
    Ok(Shipping {
        carrier: HttpCarrier::new(url.expose()).context("no carrier")?,
        breaker: Breaker::new("carrier", BreakerPolicy::default()),
        time_limit: Duration::from_millis(limit.get()),
    })
}
