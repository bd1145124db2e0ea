//! What the processes count.

use super::Stack;
use crate::{PATIENCE, eventually};
use anyhow::{Result, ensure};
use reqwest::Method;

impl Stack {
    /// The sum of a process's series of this name that have all of `labels` (`key="value"`); 0 when
    /// there is none.
    pub async fn metric(&self, process: &str, name: &str, labels: &[&str]) -> Result<f64> {
        let answer = self.request(Method::GET, process, "/metrics")?.send().await?;
        let text = answer.error_for_status()?.text().await?;
        Ok(text.lines().filter_map(|line| value(line, name, labels)).sum())
    }

    /// Until the process has counted at least so many.
    pub async fn wait_metric(
        &self,
        process: &str,
        name: &str,
        labels: &[&str],
        least: f64,
    ) -> Result<()> {
        let what = format!("{process} to count {least} {name}");
        let counted = eventually(PATIENCE, &what, async || {
            let value = self.metric(process, name, labels).await?;
            ensure!(value >= least, "it has counted {value}");
            Ok(())
        })
        .await;
        self.explain(counted).await
    }
}

fn value(line: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let rest = line.strip_prefix(name)?;
    let (series, value) = rest.rsplit_once(' ')?;
    let whole = series.is_empty() || series.starts_with('{');
    (whole && labels.iter().all(|label| series.contains(label))).then(|| value.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn a_series_is_found_by_its_whole_name_and_its_labels() {
        let line = "dead_letters_total{participant=\"payment\",reason=\"fault\"} 3";
        assert_eq!(value(line, "dead_letters_total", &[]), Some(3.0));
        assert_eq!(value(line, "dead_letters_total", &["reason=\"fault\""]), Some(3.0));
        assert_eq!(value(line, "dead_letters_total", &["reason=\"other\""]), None);
        assert_eq!(value(line, "dead_letters", &[]), None);
        assert_eq!(value("# TYPE dead_letters_total counter", "dead_letters_total", &[]), None);
    }
}
