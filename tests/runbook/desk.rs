//! A section of the runbook, and a terminal beside it.

use anyhow::{Context, Result, ensure};
use contracts::SagaId;
use reqwest::Method;
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};
use testkit::{PATIENCE, SERVICES, Stack, eventually};
use tokio::{process::Command, time::timeout};

/// Longer than any command takes.
const LIMIT: Duration = Duration::from_secs(120);

pub struct Desk {
    section: Arc<str>,
    env: Vec<(String, String)>,
    /// What stands for what in a line of the page.
    names: Vec<(&'static str, String)>,
}

/// What a line led to.
#[derive(Debug)]
#[expect(dead_code, reason = "a failed walk shows all of it")]
pub struct Typed {
    section: Arc<str>,
    line: String,
    code: Option<i32>,
    pub out: String,
}

impl Desk {
    pub fn at(stack: &Stack, title: &str) -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no root")?;
        let page = fs::read_to_string(root.join("docs/runbook.md"))?;
        let mut sections = page.split("\n## ");
        let section = match title {
            "" => sections.next(),
            title => sections.find(|section| section.lines().next() == Some(title)),
        };
        let section = section.with_context(|| format!("the runbook has no section {title:?}"))?;
        let mut env = vec![
            ("ORCHESTRATOR_URL".to_owned(), stack.url("orchestrator", "")?),
            ("ORDERS_URL".to_owned(), stack.url("order", "")?),
            ("SIMULATOR_URL".to_owned(), stack.url("simulator", "")?),
            ("RABBITMQ_MANAGEMENT_URL".to_owned(), stack.instances().management.to_string()),
            ("RABBITMQ_VHOST".to_owned(), stack.vhost().name().to_owned()),
            ("USER".to_owned(), "ada".to_owned()),
            ("COLUMNS".to_owned(), "400".to_owned()),
        ];
        if let Ok(attempts) = stack.env("orchestrator", "SAGA_STEP_ATTEMPTS") {
            env.push(("SAGA_STEP_ATTEMPTS".to_owned(), attempts.to_owned()));
        }
        for service in SERVICES {
            let name = format!("AUDIT_{}_URL", service.to_uppercase());
            env.push((name, stack.database(service)?.url().to_owned()));
        }
        Ok(Desk { section: section.into(), env, names: Vec::new() })
    }

    /// From here on this stands for that in the lines of the page.
    pub fn knows(&mut self, name: &'static str, value: impl ToString) {
        self.names.retain(|(known, _)| *known != name);
        self.names.push((name, value.to_string()));
    }

    /// Types a line of the section, and it ends well.
    pub async fn types(&self, line: &str) -> Result<Typed> {
        let typed = self.tries(line).await?;
        ensure!(typed.code == Some(0), "{typed:?}");
        Ok(typed)
    }

    /// Types a line of the section.
    pub async fn tries(&self, line: &str) -> Result<Typed> {
        ensure!(self.section.contains(line), "{line:?} is not in {:?}", self.title());
        let mut filled = line.to_owned();
        for (name, value) in &self.names {
            filled = filled.replace(name, value);
        }
        let words = words(&filled);
        let (program, words) = words.split_first().context("an empty line")?;
        ensure!(program == "sagactl", "only sagactl is typed: {line}");
        self.run(&words.iter().map(String::as_str).collect::<Vec<_>>()).await
    }

    /// Types a line again and again until what it shows is as wanted.
    pub async fn watches(&self, line: &str, wanted: impl Fn(&str) -> bool) -> Result<Typed> {
        eventually(PATIENCE, line, async || {
            let typed = self.types(line).await?;
            ensure!(wanted(&typed.out), "{}", typed.out);
            Ok(typed)
        })
        .await
    }

    async fn run(&self, words: &[&str]) -> Result<Typed> {
        let mut command = Command::new(beside("sagactl")?);
        command.args(words).env_clear().envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).kill_on_drop(true);
        let line = words.join(" ");
        let ended = timeout(LIMIT, command.output()).await;
        let ended = ended.with_context(|| format!("sagactl {line} does not end"))??;
        let said = [ended.stdout, ended.stderr].concat();
        let out = String::from_utf8_lossy(&said).into_owned();
        Ok(Typed { section: Arc::clone(&self.section), line, code: ended.status.code(), out })
    }

    /// The section says this, and this is so.
    pub fn sees(&self, phrase: &str, seen: &str) -> Result<()> {
        ensure!(self.section.contains(phrase), "{phrase:?} is not in {:?}", self.title());
        ensure!(seen.contains(phrase), "{phrase:?} is not seen: {seen}");
        Ok(())
    }

    /// A participant as the API tells of it.
    pub async fn participant(&self, stack: &Stack, name: &str) -> Result<Value> {
        let all = stack.get("orchestrator", "/api/v1/participants").await?;
        let mut items = all["items"].as_array().into_iter().flatten();
        items.find(|item| item["name"] == name).cloned().with_context(|| format!("no {name}"))
    }

    /// Until that is as wanted; it is told at most two seconds old.
    pub async fn watches_participant(
        &self,
        stack: &Stack,
        name: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        eventually(PATIENCE, name, async || {
            let found = self.participant(stack, name).await?;
            ensure!(wanted(&found), "{found}");
            Ok(found)
        })
        .await
    }

    /// Everything is at rest, nothing is lost or twice; the auditor's report.
    pub async fn is_clean(&self, stack: &Stack) -> Result<Value> {
        stack.assert_conserved().await?;
        let audit = self.run(&["audit", "--json"]).await?;
        ensure!(audit.code == Some(0), "{audit:?}");
        serde_json::from_str(&audit.out).with_context(|| audit.out.clone())
    }

    /// What `sagactl audit` says to people.
    pub async fn audit(&self) -> Result<String> {
        Ok(self.run(&["audit"]).await?.out)
    }

    fn title(&self) -> &str {
        self.section.lines().next().unwrap_or_default()
    }
}

impl Typed {
    /// The section says this, and it was shown.
    pub fn shows(self, phrase: &str) -> Result<Self> {
        ensure!(self.section.contains(phrase), "{phrase:?} is not in the section");
        ensure!(self.out.contains(phrase), "{phrase:?} is not shown: {self:?}");
        Ok(self)
    }

    /// It was shown.
    pub fn names(self, what: impl ToString) -> Result<Self> {
        ensure!(
            self.out.contains(&what.to_string()),
            "{} is not shown: {self:?}",
            what.to_string()
        );
        Ok(self)
    }

    pub fn ends_with(self, code: i32) -> Result<Self> {
        ensure!(self.code == Some(code), "{code} was expected: {self:?}");
        Ok(self)
    }
}

/// As a shell would cut it: `"…"` is one word.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (number, part) in line.split('"').enumerate() {
        match number % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ if part == "…" => words.push("walked through the runbook".to_owned()),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

/// Beside the executable that asks, or above it.
fn beside(program: &str) -> Result<PathBuf> {
    let asks = std::env::current_exe()?;
    let folders = asks.ancestors().skip(1).take(2);
    let found = folders.map(|folder| folder.join(program)).find(|path| path.is_file());
    found.with_context(|| format!("{program} is not built: run `cargo build --workspace --bins`"))
}

pub async fn parked(stack: &Stack, id: SagaId) -> Result<Value> {
    stack.wait_until(id, "the saga to park", |saga| !saga["parked"].is_null()).await
}

pub async fn outside(stack: &Stack, target: &str, mode: &str) -> Result<()> {
    stack.set_fault(json!({ "target": target, "mode": mode })).await
}

/// What somebody does at the gateway by hand, under the saga's own authorisation.
pub async fn at_the_gateway(stack: &Stack, id: SagaId, what: &str) -> Result<()> {
    let request = stack.request(Method::POST, "simulator", &format!("/gateway/{what}"))?;
    let answer = request
        .header("idempotency-key", format!("by-hand/{id}/{what}"))
        .json(&json!({ "authorisation_key": format!("{id}/authorise-payment/action") }))
        .send()
        .await?;
    ensure!(answer.status().is_success(), "{}", answer.text().await?);
    Ok(())
}

/// The status of a request to the orchestrator, and its body.
pub async fn post(stack: &Stack, path: &str, body: Value) -> Result<(u16, Value)> {
    let answer = stack.request(Method::POST, "orchestrator", path)?.json(&body).send().await?;
    Ok((answer.status().as_u16(), answer.json().await?))
}

/// What `/readyz` of a process says, ready or not.
pub async fn readiness(stack: &Stack, process: &str) -> Result<(u16, String)> {
    let answer = stack.request(Method::GET, process, "/readyz")?.send().await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}
