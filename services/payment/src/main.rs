//! The payment service on port 8003; `payment migrate` prepares its database.

use anyhow::Context as _;
use contracts::payment::{AuthorisePayment, CapturePayment, RefundPayment, VoidPayment};
use payment::{MIGRATOR, Payment, api, gateway::HttpGateway};
use runtime::{
    config::{self, Redacted},
    resilience::{Breaker, BreakerPolicy},
    telemetry,
};
use std::{num::NonZero, time::Duration};
use worker::Worker;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    telemetry::init("payment");
    Worker::from_env("payment", payment()?)?
        .pair_outside::<AuthorisePayment, VoidPayment>()
        .outside::<CapturePayment>()
        .outside::<RefundPayment>()
        .routes(|context| api::router(context.pool.clone()))
        .migrations(&MIGRATOR)
        .port(8003)
        .run_until_signal()
        .await?;
    Ok(())
}

fn payment() -> anyhow::Result<Payment<HttpGateway>> {
    let default = Redacted::new("http://127.0.0.1:8010/gateway");
    let url = config::env("GATEWAY_URL", Some(default))?;
    let limit = config::env("GATEWAY_TIMEOUT_MS", NonZero::new(3000_u64))?;
    tracing::info!(%url, limit_ms = limit, "gateway");
    Ok(Payment {
        gateway: HttpGateway::new(url.expose()).context("no gateway")?,
        breaker: Breaker::new("gateway", BreakerPolicy::default()),
        time_limit: Duration::from_millis(limit.get()),
    })
}
