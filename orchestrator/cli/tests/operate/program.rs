//! The program as a terminal runs it.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::{
    process::{Output, Stdio},
    time::Duration,
};
use tokio::{process::Command, time::timeout};

/// Longer than any command of a test may take.
const LIMIT: Duration = Duration::from_secs(120);

#[derive(Clone, Debug, Default)]
pub struct Program {
    env: Vec<(&'static str, String)>,
}

/// How it ended and what it said.
#[derive(Debug)]
#[expect(dead_code, reason = "a failed test shows all of it")]
pub struct Ended {
    line: String,
    code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Program {
    pub fn with(mut self, variable: &'static str, value: impl Into<String>) -> Self {
        self.env.push((variable, value.into()));
        self
    }

    /// Runs one line; words are separated by spaces.
    pub async fn run(&self, line: &str) -> Result<Ended> {
        self.words(&line.split_whitespace().collect::<Vec<_>>()).await
    }

    pub async fn words(&self, words: &[&str]) -> Result<Ended> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sagactl"));
        command.args(words).env_clear().envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).kill_on_drop(true);
        let line = words.join(" ");
        let ended = timeout(LIMIT, command.output()).await;
        let Output { status, stdout, stderr } =
            ended.with_context(|| format!("sagactl {line} does not end"))??;
        let [out, err] = [stdout, stderr].map(String::from_utf8);
        Ok(Ended { line, code: status.code(), out: out?, err: err? })
    }

    /// The JSON of a line that must end well.
    pub async fn json(&self, line: &str) -> Result<Value> {
        self.run(&format!("{line} --json")).await?.ends_with(0)?.json()
    }
}

impl Ended {
    pub fn ends_with(self, code: i32) -> Result<Self> {
        ensure!(self.code == Some(code), "{code} was expected: {self:#?}");
        Ok(self)
    }

    /// On either output.
    pub fn says(self, text: &str) -> Result<Self> {
        let said = self.out.contains(text) || self.err.contains(text);
        ensure!(said, "{text:?} is missing: {self:#?}");
        Ok(self)
    }

    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.out).with_context(|| format!("no JSON: {self:#?}"))
    }
}
