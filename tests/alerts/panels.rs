//! The queries of the dashboards, as Grafana would send them.

use crate::prometheus::Prometheus;
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::fs;

/// What Grafana puts in place of its variables.
const VARIABLES: [(&str, &str); 7] = [
    ("$definition", "place-order"),
    ("$participant", "payment"),
    ("$instance", ".*"),
    ("$node", ".*"),
    ("$datname", ".*"),
    ("$__rate_interval", "1m"),
    ("$__interval", "15s"),
];

/// Every query of every dashboard is one that Prometheus understands. On a stack that has worked each
/// has data, but those about PostgreSQL, whose exporter does not run here.
pub async fn all_answer(prometheus: &Prometheus) -> Result<()> {
    let (mut asked, mut wrong) = (0, Vec::new());
    for entry in fs::read_dir(crate::monitoring().join("grafana/dashboards"))? {
        let path = entry?.path();
        let dashboard: Value = serde_json::from_str(&fs::read_to_string(&path)?)?;
        let name = dashboard["title"].as_str().context("a dashboard without a title")?.to_owned();
        for panel in panels(&dashboard) {
            let title = panel["title"].as_str().context("a panel without a title")?;
            for target in panel["targets"].as_array().into_iter().flatten() {
                let query = target["expr"].as_str().context("a target without a query")?;
                let mut query = query.to_owned();
                for (variable, value) in VARIABLES {
                    query = query.replace(variable, value);
                }
                asked += 1;
                match prometheus.query(&query).await {
                    Err(error) => wrong.push(format!("{name}, {title}: {error}: {query}")),
                    Ok(data) if data.is_empty() && !query.contains("pg_") => {
                        wrong.push(format!("{name}, {title}: no data: {query}"));
                    }
                    Ok(_) => {}
                }
            }
        }
    }
    ensure!(asked > 0, "no query was found");
    ensure!(wrong.is_empty(), "{} of {asked} queries:\n{}", wrong.len(), wrong.join("\n"));
    eprintln!("{asked} queries of the dashboards are answered");
    Ok(())
}

/// Those in rows, too.
fn panels(dashboard: &Value) -> Vec<&Value> {
    let top = dashboard["panels"].as_array().into_iter().flatten();
    top.flat_map(|panel| {
        let inner = panel["panels"].as_array().into_iter().flatten();
        std::iter::once(panel).chain(inner)
    })
    .filter(|panel| panel["targets"].is_array())
    .collect()
}
