//! What RabbitMQ itself shows of the system: to whoever opens its management UI at night, and to
//! whoever lays out a broker before the services come.

use crate::on_stack;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{env, fs, path::Path};
use testkit::{PATIENCE, SERVICES, ScratchVhost, Stack, With, eventually};

const EXPORT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docker/rabbitmq/export.json");

#[tokio::test]
async fn the_management_ui_says_of_every_connection_and_consumer_who_it_is_and_what_for()
-> Result<()> {
    on_stack(&[], async |stack| {
        let connections = connections(stack).await?;
        for service in SERVICES {
            let own: Vec<_> = connections.iter().filter(|one| one["user"] == service).collect();
            let names: Vec<_> =
                own.iter().map(|one| text(&one["client_properties"]["connection_name"])).collect();
            ensure!(names.contains(&format!("{service} publisher")), "{service}: {names:?}");
            ensure!(own.iter().all(|one| tells(one, service)), "{service}: {own:#?}");
        }
        let consumers = stack.vhost().listed("consumers").await?;
        for consumer in consumers.as_array().context("no list")? {
            let (tag, queue) = (text(&consumer["consumer_tag"]), text(&consumer["queue"]["name"]));
            let (service, rest) = tag.split_once('@').with_context(|| format!("{queue}: {tag}"))?;
            let owner = queue.split('.').next().unwrap_or_default();
            let collects = service == "orchestrator" && queue.ends_with(".dead-letters");
            ensure!(service == owner || collects, "{queue}: {tag}");
            let pid = rest.split_once(':').and_then(|(_, rest)| rest.split(' ').next());
            ensure!(pid.is_some_and(|pid| pid.parse::<u32>().is_ok()), "{queue}: {tag}");
        }
        Ok(())
    })
    .await
}

/// All that have told of themselves; the management API learns of them late.
async fn connections(stack: &Stack) -> Result<Vec<Value>> {
    eventually(PATIENCE, "every service to be listed with its connections", async || {
        let listed = stack.vhost().listed("connections").await?;
        let listed = listed.as_array().context("no list")?.clone();
        for service in SERVICES {
            let complete =
                |one: &&Value| one["user"] == service && one["client_properties"].is_object();
            let found = listed.iter().filter(complete).count();
            ensure!(found >= 2, "{service} has {found}");
        }
        Ok(listed)
    })
    .await
}

fn tells(connection: &Value, service: &str) -> bool {
    let told = &connection["client_properties"];
    told["product"] == "saga"
        && told["version"] == env!("CARGO_PKG_VERSION")
        && told["service"] == service
        && text(&told["connection_name"]) == format!("{service} {}", text(&told["purpose"]))
        && !text(&told["host"]).is_empty()
        && text(&told["pid"]).parse::<u32>().is_ok()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn the_definitions_export_is_what_a_running_broker_exports() -> Result<()> {
    on_stack(&[], async |stack| {
        let exported = exported(stack.vhost()).await?;
        if env::var_os("UPDATE_GOLDENS").is_some() {
            fs::write(EXPORT, printed(&exported))?;
        }
        let kept = kept()?;
        for part in PARTS {
            let (kept, exported) = (&kept[part], &exported[part]);
            ensure!(kept == exported, "{part} in the file: {kept:#}, of the broker: {exported:#}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn on_a_broker_laid_out_by_the_export_services_that_may_declare_nothing_run() -> Result<()> {
    on_stack(&[With::Only(&[])], async |stack| {
        stack.vhost().import(&kept()?).await?;
        for service in SERVICES {
            stack.vhost().forbid_declaring(service).await?;
        }
        let names: Vec<_> = stack.processes().map(|(name, _)| name.to_owned()).collect();
        for name in &names {
            stack.launch(name)?;
        }
        stack.wait_all_ready().await?;
        let order = stack.order_paid_with("card_ok", 1).await?;
        stack.wait_saga(order, "completed").await?;
        Ok(())
    })
    .await
}

fn kept() -> Result<Value> {
    let path = Path::new(EXPORT);
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Ok(serde_json::from_str(&text)?)
}

const PARTS: [&str; 3] = ["exchanges", "queues", "bindings"];

/// Without what differs from one version of RabbitMQ to the next, and in an order of its own. Users
/// and their rights are none of it: docker/rabbitmq/definitions makes them, with their passwords.
async fn exported(vhost: &ScratchVhost) -> Result<Value> {
    let mut all = vhost.listed("definitions").await?;
    let mut sorted = json!({});
    for part in PARTS {
        let mut items = all[part].as_array_mut().context("no list")?.split_off(0);
        let place = ["source", "name", "destination", "routing_key"];
        items.sort_by_cached_key(|item| place.map(|key| text(&item[key])));
        sorted[part] = items.into();
    }
    Ok(sorted)
}

/// A line for each, to be read and compared.
fn printed(exported: &Value) -> String {
    let part = |part: &str| {
        let items = exported[part].as_array().into_iter().flatten();
        let lines: Vec<_> = items.map(|item| format!("    {item}")).collect();
        format!("  \"{part}\": [\n{}\n  ]", lines.join(",\n"))
    };
    format!("{{\n{}\n}}\n", PARTS.map(part).join(",\n"))
}
