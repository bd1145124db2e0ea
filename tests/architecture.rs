//! Rules of the code base that no compiler checks.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Which of our crates each crate may build on. `testkit` is for tests alone, and crates under
/// `tests/` may use whatever they test.
const EDGES: [(&str, &[&str]); 17] = [
    ("contracts", &[]),
    ("runtime", &[]),
    ("saga-core", &["contracts"]),
    ("sagas", &["contracts", "saga-core"]),
    ("messaging", &["contracts", "runtime"]),
    ("store", &["contracts", "messaging", "runtime"]),
    ("worker", &["contracts", "messaging", "runtime", "store"]),
    ("orchestrator", &["contracts", "messaging", "runtime", "saga-core", "sagas", "store"]),
    (
        "sagactl",
        &["contracts", "messaging", "orchestrator", "runtime", "saga-core", "sagas", "store"],
    ),
    ("order", SERVICE),
    ("inventory", SERVICE),
    ("payment", SERVICE),
    ("notification", SERVICE),
    ("shipping", SERVICE),
    ("analytics", SERVICE),
    ("simulator", &["runtime"]),
    ("testkit", &["contracts", "messaging", "runtime", "store"]),
];
const SERVICE: &[&str] = &["contracts", "messaging", "runtime", "store", "worker"];

/// Third-party crates that only these of ours may name.
const HOMES: [(&str, &[&str]); 9] = [
    ("lapin", &["messaging", "testkit"]),
    ("backoff", &["runtime"]),
    ("failsafe", &["runtime"]),
    ("lettre", &["notification"]),
    ("hyper", &["runtime"]),
    ("metrics-exporter-prometheus", &["runtime"]),
    ("tracing-subscriber", &["runtime"]),
    ("opentelemetry-proto", &[]),
    ("prost", &[]),
];

/// What the core may use: it knows no clock, no randomness, no broker and no database.
const PURE: [&str; 4] = ["contracts", "serde", "serde_json", "thiserror"];

const LINES: usize = 500;
const NO_NAMES: [&str; 8] =
    ["util", "utils", "common", "helper", "helpers", "manager", "managers", "misc"];

#[test]
fn crates_build_only_on_what_their_layer_allows() -> Result<()> {
    let allowed = BTreeMap::from(EDGES);
    let packages = packages()?;
    for (name, package) in &packages {
        let used = dependencies(package, "normal");
        let used = used.iter().filter(|used| packages.contains_key(used.as_str()));
        if is_test(package) {
            continue;
        }
        let allowed = allowed.get(name.as_str());
        let allowed = allowed.with_context(|| format!("say in EDGES what {name} may use"))?;
        for used in used {
            ensure!(allowed.contains(&used.as_str()), "{name} must not use {used}");
        }
    }
    Ok(())
}

#[test]
fn nothing_is_built_on_tests() -> Result<()> {
    let packages = packages()?;
    for (name, package) in &packages {
        for used in ["normal", "dev", "build"].map(|kind| dependencies(package, kind)).concat() {
            let Some(found) = packages.get(&used) else { continue };
            ensure!(!is_test(found) || is_test(package), "{name} must not use {used}");
        }
        let builds_on_testkit = dependencies(package, "normal").contains(&"testkit".to_owned());
        ensure!(!builds_on_testkit || is_test(package), "{name} uses testkit outside its tests");
    }
    Ok(())
}

#[test]
fn a_third_party_crate_with_a_home_is_used_nowhere_else() -> Result<()> {
    for (name, package) in packages()? {
        let used = dependencies(&package, "normal");
        for (third_party, homes) in HOMES {
            let is_home = homes.contains(&name.as_str()) || is_test(&package);
            let uses = used.iter().any(|used| used == third_party);
            ensure!(is_home || !uses, "{name} must not use {third_party}");
        }
        if name == "saga-core" {
            for used in used {
                ensure!(PURE.contains(&used.as_str()), "the core must not use {used}");
            }
        }
    }
    Ok(())
}

#[test]
fn backoff_and_failsafe_are_behind_one_file() -> Result<()> {
    for (path, text) in files(&["rs"])? {
        if path.ends_with("shared/runtime/src/resilience.rs") || path.ends_with(file!()) {
            continue;
        }
        for name in ["backoff", "failsafe"] {
            let used = text.lines().any(|line| {
                let code = line.split("//").next().unwrap_or_default();
                code.contains(&format!("{name}::")) || code.contains(&format!("use {name}"))
            });
            ensure!(!used, "{} uses {name}", path.display());
        }
    }
    Ok(())
}

#[test]
fn the_engine_knows_no_order() -> Result<()> {
    for (path, text) in files(&["rs"])? {
        let engine = ["orchestrator/src", "orchestrator/core/src"];
        if !engine.iter().any(|folder| path.starts_with(root().join(folder))) {
            continue;
        }
        for business in ["order", "inventory", "payment", "shipping", "notification"] {
            let named = text.contains(&format!("contracts::{business}"));
            ensure!(!named, "{} names contracts::{business}", path.display());
        }
    }
    Ok(())
}

#[test]
fn a_rust_file_can_be_read_in_one_sitting() -> Result<()> {
    for (path, text) in files(&["rs"])? {
        let lines = text.lines().count();
        ensure!(lines <= LINES, "{} has {lines} lines, more than {LINES}", path.display());
    }
    Ok(())
}

#[test]
fn modules_are_named_after_what_they_hold() -> Result<()> {
    for (path, _) in files(&["rs"])? {
        let parts = path.strip_prefix(root())?.with_extension("");
        for part in parts.iter().filter_map(OsStr::to_str) {
            ensure!(!NO_NAMES.contains(&part), "{}: {part} says nothing", path.display());
        }
    }
    Ok(())
}

#[test]
fn every_participant_has_the_same_first_migration() -> Result<()> {
    let wanted = fs::read_to_string(root().join("shared/store/participant.sql"))?;
    let mut found = 0;
    for folder in fs::read_dir(root().join("migrations"))? {
        let path = folder?.path().join("0001_participant.sql");
        if let Ok(text) = fs::read_to_string(&path) {
            ensure!(text == wanted, "{} is not shared/store/participant.sql", path.display());
            found += 1;
        }
    }
    ensure!(found >= 6, "only {found} participants have a first migration");
    Ok(())
}

#[test]
fn nothing_is_left_for_later() -> Result<()> {
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")];
    for (path, text) in files(&["rs", "sql", "toml", "yml", "yaml", "sh", "py", "json"])? {
        for (number, line) in text.lines().enumerate() {
            let left = marks.iter().find(|mark| line.contains(*mark));
            ensure!(left.is_none(), "{}:{}: {line}", path.display(), number + 1);
        }
    }
    Ok(())
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package is a folder of the root")
}

/// Our packages by name.
fn packages() -> Result<BTreeMap<String, Value>> {
    let told = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()?;
    ensure!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let told: Value = serde_json::from_slice(&told.stdout)?;
    let packages = told["packages"].as_array().context("no packages")?.iter();
    packages.map(|package| Ok((text(&package["name"])?, package.clone()))).collect()
}

fn text(value: &Value) -> Result<String> {
    value.as_str().map(str::to_owned).context("no text")
}

/// Names of what a package depends on for this purpose: `normal`, `dev` or `build`.
fn dependencies(package: &Value, kind: &str) -> Vec<String> {
    let all = package["dependencies"].as_array().into_iter().flatten();
    all.filter(|used| used["kind"].as_str().unwrap_or("normal") == kind)
        .filter_map(|used| text(&used["name"]).ok())
        .collect()
}

fn is_test(package: &Value) -> bool {
    let manifest = package["manifest_path"].as_str().unwrap_or_default();
    Path::new(manifest).starts_with(root().join("tests"))
}

/// Every file of ours with one of these extensions, with its text.
fn files(extensions: &[&str]) -> Result<Vec<(PathBuf, String)>> {
    let mut found = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
            if path.is_dir() && !path.is_symlink() {
                if !name.starts_with('.') && !["target", "node_modules"].contains(&name) {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|ext| extensions.iter().any(|one| ext == *one))
                && let Ok(text) = fs::read_to_string(&path)
            {
                found.push((path, text));
            }
        }
    }
    Ok(found)
}
