//! What a run has shown, and the table.

use crate::{books::Account, load::Entry, timeline::Strike};
use sagactl::audit::Report;
use std::{fmt::Write as _, process::ExitCode, time::Duration};

/// Fewer orders than this prove nothing.
const ENOUGH: usize = 20;
/// Findings of one kind that are told one by one.
const MOST: usize = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    /// A promise is broken.
    Violated,
    /// Nothing is broken, but not everything that was to be tested has happened.
    Inconclusive,
}

/// Whether everything came to rest.
#[derive(Debug)]
pub enum Rest {
    After(Duration),
    /// What still moved.
    Never(String),
}

pub struct Outcome {
    pub name: &'static str,
    pub strikes: Vec<Strike>,
    pub account: Account,
    pub report: Report,
    pub rest: Rest,
    /// Orders that were not placed, as too many were open.
    pub held_back: usize,
    /// What the client knows.
    pub log: Vec<Entry>,
    /// Lines of logs that tell a password, or who a customer is.
    pub leaks: Vec<String>,
}

impl Verdict {
    /// The worst of several.
    pub fn of_all(outcomes: &[Outcome]) -> Self {
        let verdicts: Vec<Verdict> = outcomes.iter().map(Outcome::verdict).collect();
        let any = |wanted| verdicts.contains(&wanted);
        match (any(Verdict::Violated), any(Verdict::Inconclusive), verdicts.is_empty()) {
            (true, _, _) => Verdict::Violated,
            (false, false, false) => Verdict::Passed,
            _ => Verdict::Inconclusive,
        }
    }

    pub fn exit_code(self) -> ExitCode {
        match self {
            Verdict::Passed => ExitCode::SUCCESS,
            Verdict::Violated => ExitCode::from(1),
            Verdict::Inconclusive => ExitCode::from(2),
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Passed => "passed",
            Verdict::Violated => "VIOLATED",
            Verdict::Inconclusive => "INCONCLUSIVE",
        }
    }
}

impl Outcome {
    pub fn verdict(&self) -> Verdict {
        if !self.broken().is_empty() {
            Verdict::Violated
        } else if !self.missing().is_empty() {
            Verdict::Inconclusive
        } else {
            Verdict::Passed
        }
    }

    /// Every promise that is broken.
    pub fn broken(&self) -> Vec<String> {
        let Account { lost, doubled, parked, .. } = &self.account;
        let mut broken: Vec<String> = Vec::new();
        broken.extend(lost.iter().map(|why| format!("lost: {why}")));
        broken.extend(doubled.iter().map(|why| format!("doubled: {why}")));
        if *parked > 0 {
            broken.push(format!("{parked} sagas are parked, although everything is back"));
        }
        if let Rest::Never(why) = &self.rest {
            broken.push(format!("it never came to rest: {why}"));
        }
        for strike in self.strikes.iter().filter(|strike| strike.recovery.is_none()) {
            broken.push(format!("no recovery from: {}", strike.fault));
        }
        broken.extend(self.leaks.iter().map(|line| format!("a secret in a log: {line}")));
        if !self.report.clean {
            broken.push(format!("the auditor:\n{}", self.report.table(false)));
        }
        broken
    }

    /// What would have had to be seen for a verdict.
    pub fn missing(&self) -> Vec<String> {
        let Account { accepted, completed, compensated, .. } = self.account;
        let mut missing: Vec<String> = Vec::new();
        for strike in self.strikes.iter().filter(|strike| strike.seen.is_none()) {
            missing.push(format!("nobody noticed: {}", strike.fault));
        }
        if self.strikes.is_empty() {
            missing.push("nothing was broken".to_owned());
        }
        if accepted < ENOUGH || completed == 0 || compensated == 0 {
            missing.push(format!(
                "{accepted} orders were accepted, {completed} completed, {compensated} compensated"
            ));
        }
        let unread = self.report.not_audited.iter();
        missing.extend(unread.map(|not| format!("not audited: {}, {}", not.what, not.why)));
        missing
    }

    /// The longest of its recoveries.
    fn recovery(&self) -> Option<Duration> {
        let times: Option<Vec<Duration>> =
            self.strikes.iter().map(|strike| strike.recovery).collect();
        times?.into_iter().max()
    }

    /// All that there is to say about it, if it has not passed.
    pub fn story(&self) -> String {
        let mut text = String::new();
        for strike in &self.strikes {
            let _ = writeln!(text, "  {strike}");
        }
        for (what, list) in [("broken", self.broken()), ("missing", self.missing())] {
            for line in list.iter().take(MOST) {
                let _ = writeln!(text, "  {what}  {line}");
            }
            if list.len() > MOST {
                let _ = writeln!(text, "  … and {} more", list.len() - MOST);
            }
        }
        text
    }
}

/// One line for each run.
pub fn table(outcomes: &[Outcome]) -> String {
    let mut text = format!(
        "{:<20} {:<12} {:>6} {:>8} {:>9} {:>11} {:>6} {:>4} {:>7} {:>10} {:>8} {:>8}\n",
        "scenario",
        "verdict",
        "faults",
        "accepted",
        "completed",
        "compensated",
        "parked",
        "lost",
        "doubled",
        "recovery",
        "slowest",
        "rest"
    );
    let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
    for outcome in outcomes {
        let Account { accepted, completed, compensated, parked, lost, doubled, slowest, .. } =
            &outcome.account;
        let recovery = outcome.recovery().map_or_else(|| "never".to_owned(), seconds);
        let rest = match &outcome.rest {
            Rest::After(time) => seconds(*time),
            Rest::Never(_) => "never".to_owned(),
        };
        let _ = writeln!(
            text,
            "{:<20} {:<12} {:>6} {accepted:>8} {completed:>9} {compensated:>11} {parked:>6} {:>4} {:>7} {recovery:>10} {:>8} {rest:>8}",
            outcome.name,
            outcome.verdict().as_str(),
            outcome.strikes.len(),
            lost.len(),
            doubled.len(),
            seconds(*slowest),
        );
    }
    text
}
