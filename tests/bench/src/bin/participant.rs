//! `bench-participant serve|migrate NAME`: one participant of the benchmark's saga.

use anyhow::Context;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let name = std::env::args().nth(2).context("usage: bench-participant serve|migrate NAME")?;
    bench::participant::run(&name).await
}
