//! The project's rules and scrape configuration for a stack that a test has started: every time in
//! them divided by [`FACTOR`], every address replaced. The files themselves are what `promtool`
//! tests; nothing but times and addresses differs.

use anyhow::{Context as _, Result};
use regex::{Captures, Regex};
use serde_json::Value;
use std::collections::BTreeMap;

/// Five minutes are ten seconds.
pub const FACTOR: f64 = 30.0;

/// Where to find what Prometheus looks at.
pub struct Addresses {
    /// Of every process, by name.
    pub services: BTreeMap<String, String>,
    pub rabbitmq: String,
    pub vhost: String,
}

/// monitoring/alerts.yml: `for`, the windows of ranges and offsets, and the seconds that a series of
/// seconds is compared with.
pub fn rules(text: &str) -> Result<String> {
    let mut tree: Value = serde_norway::from_str(text)?;
    for group in tree["groups"].as_array_mut().context("no groups")? {
        for rule in group["rules"].as_array_mut().context("no rules")? {
            if let Some(wait) = rule["for"].as_str() {
                rule["for"] = Value::from(milliseconds(seconds(wait)?));
            }
            let expression = rule["expr"].as_str().context("no expr")?;
            rule["expr"] = Value::from(expression_of(expression)?);
        }
    }
    Ok(serde_norway::to_string(&tree)?)
}

fn expression_of(text: &str) -> Result<String> {
    let window = Regex::new(r"(\[|offset )([0-9]+[smh])")?;
    let text = window.replace_all(text, |found: &Captures<'_>| {
        format!("{}{}", &found[1], milliseconds(seconds(&found[2]).unwrap_or_default()))
    });
    let threshold = Regex::new(r"(_seconds\)? > )([0-9]+)")?;
    let text = threshold.replace_all(&text, |found: &Captures<'_>| {
        let limit: f64 = found[2].parse().unwrap_or_default();
        format!("{}{}", &found[1], limit / FACTOR)
    });
    Ok(text.into_owned())
}

/// monitoring/prometheus.yml with these addresses, and `rule_files` beside it.
pub fn configuration(text: &str, addresses: &Addresses) -> Result<String> {
    let mut tree: Value = serde_norway::from_str(text)?;
    // Often enough for the shortest window, and for two processors.
    tree["global"]["scrape_interval"] = Value::from("1s");
    tree["global"]["scrape_timeout"] = Value::from("1s");
    tree["global"]["evaluation_interval"] = Value::from("500ms");
    let mut kept = Vec::new();
    for job in tree["scrape_configs"].as_array_mut().context("no scrape_configs")? {
        let name = job["job_name"].as_str().context("no job_name")?.to_owned();
        match name.as_str() {
            "services" => {
                // The label that the real file takes from the host's name.
                job.as_object_mut().map(|job| job.remove("relabel_configs"));
                let targets = addresses.services.iter().map(|(service, address)| {
                    serde_json::json!({ "targets": [address], "labels": { "service": service } })
                });
                job["static_configs"] = targets.collect();
            }
            "rabbitmq" | "rabbitmq-node" => {
                job["static_configs"] = serde_json::json!([{ "targets": [addresses.rabbitmq] }]);
                if let Some(vhosts) = job.pointer_mut("/params/vhost") {
                    *vhosts = serde_json::json!([addresses.vhost]);
                }
            }
            // Its exporter does not run here.
            _ => continue,
        }
        kept.push(job.take());
    }
    tree["scrape_configs"] = Value::Array(kept);
    Ok(serde_norway::to_string(&tree)?)
}

fn seconds(text: &str) -> Result<f64> {
    let (number, unit) = text.split_at(text.len().saturating_sub(1));
    let unit = match unit {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => anyhow::bail!("{text} is no duration"),
    };
    Ok(number.parse::<f64>().with_context(|| format!("{text} is no duration"))? * unit)
}

fn milliseconds(seconds: f64) -> String {
    format!("{}ms", (seconds * 1000.0 / FACTOR).round().max(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_times_changes_and_all_of_them_do() -> Result<()> {
        let hurried = rules(
            "groups:\n- name: one\n  rules:\n  - alert: A\n    for: 2m\n    expr: |\n      max by (a) (x_seconds) > 900 and \
             sum(rate(y_total[5m])) > 2 unless y_total offset 5m\n",
        )?;
        let tree: Value = serde_norway::from_str(&hurried)?;
        let rule = &tree["groups"][0]["rules"][0];
        assert_eq!(rule["for"], "4000ms");
        let expected = "max by (a) (x_seconds) > 30 and sum(rate(y_total[10000ms])) > 2 unless y_total offset 10000ms";
        assert_eq!(rule["expr"].as_str().map(str::trim), Some(expected));
        Ok(())
    }
}
