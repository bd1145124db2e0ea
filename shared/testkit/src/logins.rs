//! The logins of the services, made by the very texts that make them for `make up` and in the
//! containers, so that tests run with the privileges of production.

use crate::{Instances, SERVICES, ScratchVhost, instances::root};
use anyhow::{Context, Result, ensure};
use std::process::Stdio;
use tokio::process::Command;

/// The exchanges, and a user for each service, with their permissions in this virtual host.
pub(crate) async fn on_rabbitmq(instances: &Instances, vhost: &ScratchVhost) -> Result<()> {
    let mut printer = Command::new(root().join("docker/rabbitmq/definitions"));
    printer.env("VHOST", vhost.name()).env_remove("ADMIN_AMQP_PASSWORD");
    for service in SERVICES {
        let variable = format!("{}_AMQP_PASSWORD", service.to_uppercase());
        printer.env(variable, instances.broker_password());
    }
    let definitions = run(printer, "docker/rabbitmq/definitions").await?;
    let definitions = serde_json::from_str(&definitions).context("definitions are no JSON")?;
    vhost.management().import(definitions).await
}

/// The owner's role, the service's role, and an empty database with its default privileges.
pub(crate) async fn on_postgres(
    instances: &Instances,
    service: &str,
    database: &str,
) -> Result<()> {
    let mut psql = Command::new("psql");
    psql.args(["--no-psqlrc", "--variable", &format!("service={service}")])
        .args(["--variable", &format!("database={database}")])
        .arg("--file")
        .arg(root().join("docker/postgres/service.sql"))
        .arg(instances.database.as_str())
        .env("OWNER_PASSWORD", instances.database_password())
        .env("PASSWORD", instances.database_password());
    run(psql, "psql").await?;
    Ok(())
}

async fn run(mut command: Command, name: &str) -> Result<String> {
    let ended = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("cannot run {name}"))?;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.success(), "{name} failed: {said}");
    String::from_utf8(ended.stdout).with_context(|| format!("{name} printed no text"))
}
