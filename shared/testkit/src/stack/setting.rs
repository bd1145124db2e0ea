//! What each process of a stack is given: a port, a database, logins and its neighbours' addresses.

use super::{SERVICES, SIMULATOR, With};
use crate::{
    Instances, ScratchDb, ScratchVhost,
    process::{Process, binary},
    templates::Template,
};
use anyhow::{Context, Result, ensure};
use reqwest::Url;
use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    net::TcpListener,
    path::Path,
    process::Stdio,
    sync::atomic::{AtomicU16, Ordering},
};
use tokio::process::Command;

/// Migrated by the service's own `migrate`.
pub(super) async fn database(instances: &Instances, service: &'static str) -> Result<ScratchDb> {
    let binary = binary(service)?;
    let built = binary.metadata()?;
    let mut hasher = DefaultHasher::new();
    (built.modified()?, built.len()).hash(&mut hasher);
    let template = Template::get(instances, service, hasher.finish(), async |owner: &Url| {
        let ended = Command::new(&binary)
            .arg("migrate")
            .env("DATABASE_URL", owner.as_str())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .with_context(|| format!("cannot run {service} migrate"))?;
        let said = String::from_utf8_lossy(&ended.stderr);
        let also = String::from_utf8_lossy(&ended.stdout);
        ensure!(ended.status.success(), "{service} migrate failed: {said}{also}");
        Ok(())
    })
    .await?;
    ScratchDb::copy(instances, &template).await
}

pub(super) fn processes(
    options: &[With],
    instances: &Instances,
    vhost: &ScratchVhost,
    databases: &BTreeMap<&'static str, ScratchDb>,
    folder: &Path,
) -> Result<Vec<Process>> {
    let mut processes = Vec::new();
    for service in [SIMULATOR].into_iter().chain(SERVICES) {
        for name in names(service, options) {
            let log = folder.join(format!("{name}.log"));
            processes.push(Process::new(name, service, free_port()?, log));
        }
    }
    let address = |service: &str| {
        let port = processes.iter().find(|process| process.name == service)?.port;
        Some(format!("http://127.0.0.1:{port}"))
    };
    let simulator = address(SIMULATOR).unwrap_or_default();
    let participants: Vec<_> =
        SERVICES.iter().filter_map(|name| Some(format!("{name}={}", address(name)?))).collect();
    let participants = participants.join(",");
    let neighbours = [
        ("ORCHESTRATOR_URL", address("orchestrator").unwrap_or_default()),
        ("ORDER_URL", address("order").unwrap_or_default()),
        ("GATEWAY_URL", format!("{simulator}/gateway")),
        ("CARRIER_URL", format!("{simulator}/carrier")),
        ("RUST_LOG", "info".to_owned()),
        ("LOG_FORMAT", "pretty".to_owned()),
        ("NO_COLOR", "1".to_owned()),
        ("HTTP_BIND", "127.0.0.1".to_owned()),
    ];
    for process in &mut processes {
        let port = process.port.to_string();
        set(process, folder, "PORT", &port);
        for (variable, value) in &neighbours {
            set(process, folder, variable, value);
        }
        if process.service == "orchestrator" {
            set(process, folder, "DEAD_LETTER_OWNERS", "analytics");
            set(process, folder, "PARTICIPANT_URLS", &participants);
        }
        if let Some(database) = databases.get(process.service) {
            let amqp = vhost.url_as(process.service, instances.broker_password())?;
            set(process, folder, "AMQP_URL", amqp.as_str());
            set(process, folder, "DATABASE_URL", database.url());
        } else {
            let state = folder.join("simulator.journal");
            set(process, folder, "SIMULATOR_STATE", &state.to_string_lossy());
        }
        for option in options {
            match option {
                With::Env(name, variable, value) if *name == process.name => {
                    set(process, folder, variable, value);
                }
                With::EnvOfAll(variable, value) => set(process, folder, variable, value),
                _ => {}
            }
        }
    }
    Ok(processes)
}

/// A failpoint acts once, so that the process that is started again does not die again; each time
/// it is set, it is armed anew.
pub(super) fn set(process: &mut Process, folder: &Path, variable: &str, value: &str) {
    if variable == "FAILPOINTS" {
        let marker = folder.join(format!("{}.failpoint", process.name));
        let _ = std::fs::remove_file(&marker);
        let marker = marker.to_string_lossy().into_owned();
        process.env.insert("FAILPOINT_ONCE".to_owned(), marker);
    }
    process.env.insert(variable.to_owned(), value.to_owned());
}

fn names(service: &str, options: &[With]) -> Vec<String> {
    let count = options.iter().find_map(|option| match option {
        With::Orchestrators(count) if service == "orchestrator" => Some(*count),
        With::OfEach(count) if service != SIMULATOR => Some(*count),
        _ => None,
    });
    let numbered = |number| match number {
        1 => service.to_owned(),
        number => format!("{service}-{number}"),
    };
    (1..=count.unwrap_or(1)).map(numbered).collect()
}

/// Below the range that the system hands out for outgoing connections. Each test process walks on
/// from a place of its own, so that two tests do not find the same one.
fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() * 97 % 10_000)?;
    for _ in 0..1_000 {
        let offset = (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        let port = 10_000 + offset;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    anyhow::bail!("no port is free")
}
