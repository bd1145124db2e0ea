//! Every alert fires when its fault is there and clears when it is gone: the real services, RabbitMQ
//! and PostgreSQL, watched by a real Prometheus with the rules of monitoring/alerts.yml, hurried.

mod faults;
mod hurried;
mod panels;
mod prometheus;

use anyhow::{Result, ensure};
use prometheus::Prometheus;
use regex::Regex;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};
use testkit::{Stack, With};

fn monitoring() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../monitoring")
}

#[tokio::test]
async fn every_alert_fires_under_its_fault_and_clears_after_it() -> Result<()> {
    let mut stack = Stack::start(&[
        With::OwnRabbitmq,
        With::OwnPostgres,
        // Silence longer than it takes to see that nothing moves; few attempts, so that what cannot
        // be undone parks soon.
        With::Env("orchestrator", "SAGA_STEP_TIMEOUT", "40"),
        With::Env("orchestrator", "SAGA_STEP_ATTEMPTS", "2"),
        With::Env("inventory", "WORKER_RETRIES", "1"),
    ])
    .await?;
    let prometheus = Prometheus::watching(&stack).await?;
    let told = faults::play(&mut stack, &prometheus).await;
    let told = stack.explain(told).await?;
    let rules = fs::read_to_string(monitoring().join("alerts.yml"))?;
    let names: BTreeSet<&str> = Regex::new(r"alert: (\w+)")?
        .captures_iter(&rules)
        .filter_map(|found| found.get(1))
        .map(|name| name.as_str())
        .collect();
    ensure!(names == told, "seen to fire and to clear: {told:?}; there are {names:?}");
    panels::all_answer(&prometheus).await?;
    stack.assert_conserved().await
}
