//! What there is to tell at the end.

use crate::{fault::Fault, row::Row, runner::Outcome};
use serde::Serialize;
use std::time::Duration;

#[derive(Debug, Serialize)]
pub struct Report {
    pub seed: u64,
    pub seconds: f64,
    pub sabotage: Option<&'static str>,
    pub green: usize,
    pub red: usize,
    /// What the auditor says of everything together; absent when it was not asked.
    pub audit: Option<Result<String, String>>,
    pub deaths: u64,
    pub cells: Vec<Told>,
}

#[derive(Debug, Serialize)]
pub struct Told {
    step: &'static str,
    leg: &'static str,
    fault: &'static str,
    /// `green`, `red`, `impossible` or `not-run`.
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    saga: Option<String>,
    /// Why it is red, or impossible.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

impl Report {
    pub fn new(rows: &[Row], outcomes: &[Outcome<'_>], seed: u64, took: Duration) -> Self {
        let red = outcomes.iter().filter(|outcome| outcome.result.is_err()).count();
        let cells = rows.iter().flat_map(|row| Fault::ALL.map(|fault| told(row, fault, outcomes)));
        Report {
            seed,
            seconds: rounded(took),
            sabotage: None,
            green: outcomes.len() - red,
            red,
            audit: None,
            deaths: 0,
            cells: cells.collect(),
        }
    }

    /// Every cell is green, and the auditor found nothing.
    pub fn is_green(&self) -> bool {
        self.red == 0 && !matches!(self.audit, Some(Err(_)))
    }
}

fn told(row: &Row, fault: Fault, outcomes: &[Outcome<'_>]) -> Told {
    let here = |one: &&Outcome<'_>| one.cell.row.place == row.place && one.cell.fault == fault;
    let outcome = outcomes.iter().find(here);
    let impossible = fault.impossible(row).map(str::to_owned);
    let verdict = match outcome {
        Some(outcome) if outcome.result.is_ok() => "green",
        Some(_) => "red",
        None if impossible.is_some() => "impossible",
        None => "not-run",
    };
    let error = outcome.and_then(|outcome| outcome.result.as_ref().err());
    Told {
        step: row.step,
        leg: row.leg.as_str(),
        fault: fault.as_str(),
        verdict,
        seconds: outcome.map(|outcome| rounded(outcome.took)),
        saga: outcome.and_then(|outcome| outcome.saga).map(|saga| saga.to_string()),
        why: error.map(|error| format!("{error:#}")).or(impossible),
    }
}

fn rounded(took: Duration) -> f64 {
    (took.as_secs_f64() * 100.0).round() / 100.0
}
