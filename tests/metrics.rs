//! What is measured is declared, documented and charted under the same names.

use anyhow::{Context as _, Result, ensure};
use regex::Regex;
use runtime::series::Series;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// Who writes what.
const TABLES: [(&str, &[Series]); 6] = [
    ("Every process", runtime::series::SERIES),
    ("Every process with a connection to RabbitMQ", messaging::series::SERIES),
    ("Every participant", worker::series::SERIES),
    ("Orchestrator", orchestrator::series::SERIES),
    ("Order", order::at_risk::SERIES),
    ("Order, of starts", order::starts::SERIES),
];

fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the package is a folder of the repository").to_owned()
}

fn page() -> String {
    let mut text = String::from(
        "# Metrics\n\n\
         What `GET /metrics` of each process tells, in the text format of Prometheus. Made of the tables in the source \
         (`SERIES`) by `UPDATE_DOCS=1 cargo test -p tests --test metrics`.\n\
         Counters end in `_total`; histograms have `_bucket`, `_sum` and `_count`. Prometheus adds `service` and `instance` \
         ([monitoring/prometheus.yml](../monitoring/prometheus.yml)). No id is ever a label.\n",
    );
    for (owner, table) in TABLES {
        let _ = write!(
            text,
            "\n## {owner}\n\n| series | kind | labels | meaning |\n|---|---|---|---|\n"
        );
        for Series { kind, name, labels, help } in table {
            let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
            let _ =
                writeln!(text, "| `{name}` | {} | {} | {help} |", kind.as_str(), labels.join(", "));
        }
    }
    text
}

#[test]
fn the_page_of_metrics_is_made_of_the_source() -> Result<()> {
    let path = root().join("docs/metrics.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, page())?;
    }
    ensure!(
        fs::read_to_string(&path)? == page(),
        "docs/metrics.md is not what the source declares: UPDATE_DOCS=1 cargo test -p tests --test metrics"
    );
    Ok(())
}

#[test]
fn every_series_that_the_source_writes_is_declared_with_its_kind() -> Result<()> {
    let written = Regex::new(r#"metrics::(counter|gauge|histogram)!\(\s*"([a-z_]+)""#)?;
    let declared: BTreeMap<&str, &str> = TABLES
        .iter()
        .flat_map(|(_, table)| table.iter().map(|series| (series.name, series.kind.as_str())))
        .collect();
    let mut found = BTreeSet::new();
    for folder in ["shared", "orchestrator", "services"] {
        for path in sources(&root().join(folder))? {
            let text = fs::read_to_string(&path)?;
            for hit in written.captures_iter(&text) {
                let (kind, name) = (&hit[1], hit[2].to_owned());
                let place = path.display();
                let known = declared.get(name.as_str());
                let known = known.with_context(|| format!("{name} in {place} is not declared"))?;
                ensure!(*known == kind, "{name} in {place} is a {kind}, declared as {known}");
                found.insert(name);
            }
        }
    }
    for name in declared.keys() {
        ensure!(found.contains(*name), "{name} is declared and never written");
    }
    Ok(())
}

/// What alerts and dashboards ask for: of our own series those that are declared, of others those
/// whose makers' prefix is known.
#[test]
fn alerts_and_dashboards_ask_only_for_series_that_exist() -> Result<()> {
    let mut names: BTreeSet<String> = BTreeSet::new();
    for (_, table) in TABLES {
        for series in table {
            names.insert(series.name.to_owned());
            for part in ["_bucket", "_sum", "_count"] {
                names.insert(format!("{}{part}", series.name));
            }
        }
    }
    let word = Regex::new(r"[a-z][a-z0-9_]*_[a-z0-9_]+")?;
    let quoted = Regex::new(r#""[^"]*""#)?;
    let labels = Regex::new(r"(?:by|without|on|ignoring|group_left|group_right) ?\([^)]*\)")?;
    let selectors = Regex::new(r"\{[^}]*\}")?;
    let functions = [
        "histogram_quantile",
        "label_replace",
        "group_left",
        "group_right",
        "sum_over_time",
        "max_over_time",
        "avg_over_time",
        "count_values",
    ];
    let foreign = ["rabbitmq_", "erlang_", "pg_", "process_", "probe_"];
    let mut asked = 0;
    for (place, query) in queries()? {
        let plain = quoted.replace_all(&query, "").into_owned();
        let plain = labels.replace_all(&plain, "").into_owned();
        let plain = selectors.replace_all(&plain, "").into_owned();
        for hit in word.find_iter(&plain) {
            let name = hit.as_str();
            if functions.contains(&name) || foreign.iter().any(|maker| name.starts_with(maker)) {
                continue;
            }
            ensure!(names.contains(name), "{place} asks for {name}, which nobody writes: {query}");
            asked += 1;
        }
    }
    ensure!(asked > 0, "no query was found");
    Ok(())
}

/// Alerts are played against stories in which they must and must not fire.
#[test]
fn every_alert_fires_when_it_must_and_leads_to_a_page_that_exists() -> Result<()> {
    let folder = root().join("monitoring");
    let tested = std::process::Command::new("promtool")
        .args(["test", "rules", "alerts.test.yml"])
        .current_dir(&folder)
        .output()
        .context("promtool is not there: scripts/install tests")?;
    let told = String::from_utf8_lossy(&tested.stderr).into_owned();
    ensure!(tested.status.success(), "{told}{}", String::from_utf8_lossy(&tested.stdout));
    let checked = std::process::Command::new("promtool")
        .args(["check", "config", "prometheus.yml"])
        .current_dir(&folder)
        .output()?;
    let told = String::from_utf8_lossy(&checked.stderr).into_owned();
    ensure!(checked.status.success(), "{told}{}", String::from_utf8_lossy(&checked.stdout));
    let stories = fs::read_to_string(folder.join("alerts.test.yml"))?;
    let runbook = fs::read_to_string(root().join("docs/runbook.md"))?;
    let sections: BTreeSet<String> = runbook
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(|title| title.to_lowercase().replace(' ', "-").replace([',', ':', '\''], ""))
        .collect();
    let alerts = fs::read_to_string(folder.join("alerts.yml"))?;
    let name = Regex::new(r"alert: (\w+)")?;
    for alert in name.captures_iter(&alerts) {
        ensure!(
            stories.contains(&format!("alertname: {}", &alert[1])),
            "no story of {}",
            &alert[1]
        );
    }
    let page = Regex::new(r"runbook: docs/runbook\.md#([a-z-]+)")?;
    for link in page.captures_iter(&alerts) {
        ensure!(sections.contains(&link[1]), "docs/runbook.md has no section {}", &link[1]);
    }
    let count = name.find_iter(&alerts).count();
    ensure!(page.find_iter(&alerts).count() == count, "an alert names no section of the runbook");
    Ok(())
}

/// Every `expr` of alerts and dashboards, and where it stands.
fn queries() -> Result<Vec<(String, String)>> {
    let folder = root().join("monitoring");
    let mut found = Vec::new();
    let alerts = fs::read_to_string(folder.join("alerts.yml"))?;
    let alerts: serde_json::Value = serde_norway::from_str(&alerts)?;
    let mut dashboards = vec![("alerts.yml".to_owned(), alerts)];
    for entry in fs::read_dir(folder.join("grafana/dashboards"))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        dashboards.push((name, serde_json::from_str(&fs::read_to_string(&path)?)?));
    }
    for (name, tree) in dashboards {
        collect(&tree, &mut |query| found.push((name.clone(), query.to_owned())));
    }
    Ok(found)
}

fn collect(tree: &serde_json::Value, found: &mut impl FnMut(&str)) {
    match tree {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(query) if name == "expr" => found(query),
                    _ => collect(value, found),
                }
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        _ => {}
    }
}

fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                if path.file_name().is_some_and(|name| name != "tests" && name != "target") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push(path);
            }
        }
    }
    Ok(found)
}
