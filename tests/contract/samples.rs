//! The golden samples of the wire.

use crate::document::{Document, Sent};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::{collections::BTreeMap, fs, path::Path};

#[test]
fn every_golden_sample_is_a_message_of_the_document() -> Result<()> {
    let document = Document::read()?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no root")?;
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(root.join("shared/messaging/tests/wire"))? {
        let path = entry?.path();
        let sample: Value = serde_json::from_str(&fs::read_to_string(&path)?)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let are = document.recognise_each(&sent(&sample)).with_context(|| name.clone())?;
        found.insert(name, are);
    }
    let wanted = [
        ("command", "inventory.reserve-stock"),
        ("pack", "inventory.reserve-stock"),
        ("dead-letter", "dead-letter"),
        ("event", "order.confirmed"),
        ("reply-done", "done"),
        ("reply-faulted", "faulted"),
        ("reply-refused", "inventory.reserve-stock.refused"),
        ("retry", "inventory.reserve-stock"),
        ("start", "saga.start"),
    ];
    for (name, is) in wanted {
        let are = found.get(name).with_context(|| format!("no sample {name}"))?;
        ensure!(
            !are.is_empty() && are.iter().all(|it| it == is || it == "pack"),
            "{name}: {are:?}"
        );
    }
    Ok(())
}

#[test]
fn a_message_that_is_another_than_documented_is_not_recognised() -> Result<()> {
    let document = Document::read()?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no root")?;
    let text = fs::read_to_string(root.join("shared/messaging/tests/wire/command.json"))?;
    let sample: Value = serde_json::from_str(&text)?;
    type Spoil = fn(&mut Sent);
    let spoilt: [(&str, Spoil); 8] = [
        ("another queue", |sent| sent.key = "payment.commands".to_owned()),
        ("another exchange", |sent| sent.exchange = "saga.events".to_owned()),
        ("a header more", |sent| sent.headers["colour"] = "blue".into()),
        ("a header less", |sent| {
            sent.headers.as_object_mut().and_then(|all| all.remove("saga-step"));
        }),
        ("a version", |sent| sent.headers["schema-version"] = 2.into()),
        ("not persistent", |sent| sent.properties["delivery_mode"] = 1.into()),
        ("a field more", |sent| sent.body["colour"] = "blue".into()),
        ("a quantity", |sent| sent.body["lines"][0]["quantity"] = "two".into()),
    ];
    document.recognise(&sent(&sample))?;
    for (what, spoil) in spoilt {
        let mut sent = sent(&sample);
        spoil(&mut sent);
        ensure!(document.recognise(&sent).is_err(), "{what} goes unnoticed");
    }
    Ok(())
}

fn sent(sample: &Value) -> Sent {
    let text = |name: &str| sample[name].as_str().unwrap_or_default().to_owned();
    Sent {
        exchange: text("exchange"),
        key: text("routing_key"),
        properties: sample["properties"].clone(),
        headers: sample["headers"].clone(),
        body: sample["body"].clone(),
    }
}
