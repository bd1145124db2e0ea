//! What the documents say is so: links and paths lead somewhere, commands and variables exist,
//! samples are what the code sends and compiles.

use anyhow::{Context as _, Result, ensure};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Folders whose files are no documents of ours.
const FOREIGN: [&str; 4] = ["target", ".git", ".run", "node_modules"];

fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the package is a folder of the repository").to_owned()
}

/// The files below `folder` whose name ends so, by their path from the root.
fn files(folder: &str, end: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type()?.is_dir() {
                if !FOREIGN.contains(&name.as_str()) {
                    folders.push(entry.path());
                }
            } else if name.ends_with(end) {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// A document, taken apart.
struct Document {
    path: PathBuf,
    /// Outside code blocks.
    prose: String,
    /// Code blocks with their language.
    blocks: Vec<(String, String)>,
}

impl Document {
    fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let mut document =
            Document { path: path.to_owned(), prose: String::new(), blocks: Vec::new() };
        let mut open: Option<(String, String)> = None;
        for line in text.lines() {
            match (line.strip_prefix("```"), &mut open) {
                (Some(language), None) => open = Some((language.to_owned(), String::new())),
                (Some(_), Some(_)) => document.blocks.extend(open.take()),
                (None, Some((_, block))) => *block += &format!("{line}\n"),
                (None, None) => document.prose += &format!("{line}\n"),
            }
        }
        Ok(document)
    }

    /// The targets of `[text](target)`.
    fn links(&self) -> impl Iterator<Item = &str> {
        let after = self.prose.split("](").skip(1);
        after.filter_map(|rest| rest.split_once(')')).map(|(target, _)| target)
    }

    /// Inline code.
    fn spans(&self) -> impl Iterator<Item = &str> {
        self.prose.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
    }

    /// Lines that a reader may type: inline code, and what shell blocks run.
    fn commands(&self) -> impl Iterator<Item = &str> {
        let shell = self.blocks.iter().filter(|(language, _)| language == "sh");
        let typed = self.blocks.iter().filter(|(language, _)| language == "console");
        let typed = typed.flat_map(|(_, text)| text.lines());
        self.spans()
            .chain(shell.flat_map(|(_, text)| text.lines()))
            .chain(typed.filter_map(|line| line.strip_prefix("$ ")))
    }

    fn name(&self) -> String {
        let from = root();
        self.path.strip_prefix(from).unwrap_or(&self.path).display().to_string()
    }
}

fn documents() -> Result<Vec<Document>> {
    files(".", ".md")?.iter().map(|path| Document::read(path)).collect()
}

/// The anchor that a heading gets.
fn anchor(heading: &str) -> String {
    let plain = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = plain.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn none_of(wrong: Vec<String>) -> Result<()> {
    ensure!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn every_link_leads_somewhere() -> Result<()> {
    let mut wrong = Vec::new();
    for document in documents()? {
        let here = document.path.parent().context("a file is in a folder")?;
        for link in document.links().filter(|link| !link.contains("://")) {
            let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { document.path.clone() } else { here.join(path) };
            let headed = || {
                let text = fs::read_to_string(&target).unwrap_or_default();
                text.lines().any(|line| line.starts_with('#') && anchor(line) == fragment)
            };
            if !target.exists() || !(fragment.is_empty() || headed()) {
                wrong.push(format!("{}: {link}", document.name()));
            }
        }
    }
    none_of(wrong)
}

#[test]
fn every_path_that_is_named_is_there() -> Result<()> {
    let top: Vec<String> = fs::read_dir(root())?
        .filter_map(|entry| Some(format!("{}/", entry.ok()?.file_name().to_str()?)))
        .filter(|name| !FOREIGN.iter().any(|foreign| *name == format!("{foreign}/")))
        .collect();
    let mut wrong = Vec::new();
    for document in documents()? {
        for span in document.commands().flat_map(str::split_whitespace) {
            let path = span.trim_end_matches([';', ',', '`']);
            let ours = top.iter().any(|top| path.starts_with(top));
            let pattern = path.contains(['*', '<', '$', '…', '{']);
            if ours && !pattern && !root().join(path).exists() {
                wrong.push(format!("{}: {path}", document.name()));
            }
        }
    }
    none_of(wrong)
}

#[test]
fn every_make_target_exists() -> Result<()> {
    let makefile = fs::read_to_string(root().join("Makefile"))?;
    let targets: BTreeSet<&str> = makefile
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(target, _)| target)
        .collect();
    let mut wrong = Vec::new();
    for document in documents()? {
        for command in document.commands() {
            let mut words = command.split_whitespace().skip_while(|word| *word != "make").skip(1);
            let is_target = |word: &&str| {
                word.starts_with(|c: char| c.is_ascii_lowercase()) && !word.contains('=')
            };
            for target in words.by_ref().take_while(is_target) {
                if !targets.contains(target.trim_end_matches([';', '&'])) {
                    wrong.push(format!("{}: make {target}", document.name()));
                }
            }
        }
    }
    none_of(wrong)
}

/// `--test <target> <filter>` in documents: some test's name, or its file's, contains the filter.
#[test]
fn every_test_that_is_named_exists() -> Result<()> {
    let mut names = String::new();
    for path in files(".", ".rs")? {
        names += &format!("{}\n", path.display());
        let text = fs::read_to_string(&path)?;
        names.extend(
            text.lines().filter(|line| line.contains("fn ")).map(|line| format!("{line}\n")),
        );
    }
    let mut wrong = Vec::new();
    for document in documents()? {
        for command in document.commands() {
            let Some((_, rest)) = command.split_once("--test ") else { continue };
            let words = rest.split_whitespace().take_while(|word| !word.starts_with('-'));
            for word in words.map(|word| word.trim_matches('"')) {
                let target = root().join("tests").join(word).exists();
                if !(target || names.contains(word)) {
                    wrong.push(format!("{}: {command}", document.name()));
                }
            }
        }
    }
    none_of(wrong)
}

/// Names in capitals, as environment variables have them.
fn is_variable(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
        && text.len() > 2
}

/// The variables that programs read: string literals that are such names. One without an underscore
/// counts only as the first argument of a call that reads one.
fn read_by_programs() -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for path in ["orchestrator", "services", "shared"].map(|top| files(top, ".rs")) {
        for path in path? {
            let text = path.to_string_lossy();
            if text.contains("/tests/") || text.contains("/testkit/") || text.ends_with("build.rs")
            {
                continue;
            }
            let source = fs::read_to_string(&path)?;
            let source = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
            let literals: Vec<&str> = source.split('"').collect();
            for pair in literals.windows(2) {
                let [before, literal] = pair else { continue };
                let before = before.trim_end();
                let call = ["env(", "var(", "var_os(", "seconds("]
                    .iter()
                    .any(|call| before.ends_with(call));
                let macro_call = before.ends_with("env!(");
                if is_variable(literal) && !macro_call && (literal.contains('_') || call) {
                    found.insert((*literal).to_owned());
                }
            }
        }
    }
    Ok(found)
}

#[test]
fn the_configuration_page_names_every_variable_and_no_other() -> Result<()> {
    let page = Document::read(&root().join("docs/configuration.md"))?;
    let documented: BTreeSet<&str> = page.spans().filter(|span| is_variable(span)).collect();
    let read = read_by_programs()?;
    ensure!(read.contains("AMQP_URL") && read.contains("PORT"), "the search finds nothing");
    let mut elsewhere = String::new();
    for path in ["scripts", "docker", "shared", "tests"].map(|top| files(top, "")) {
        for path in path? {
            elsewhere += &fs::read_to_string(&path).unwrap_or_default();
        }
    }
    for path in ["docker-compose.yml", ".env.example", "Makefile"] {
        elsewhere += &fs::read_to_string(root().join(path))?;
    }
    let mut wrong = Vec::new();
    let missing = read.iter().filter(|name| !documented.contains(name.as_str()));
    wrong.extend(missing.map(|name| format!("{name} is read and not in docs/configuration.md")));
    for name in documented {
        let of_a_service = name.strip_suffix("_PORT").is_some_and(|service| {
            root().join("services").join(service.to_lowercase()).exists()
                || service == "ORCHESTRATOR"
        });
        if !read.contains(name) && !elsewhere.contains(name) && !of_a_service {
            wrong.push(format!("{name} is in docs/configuration.md and read by nobody"));
        }
    }
    none_of(wrong)
}

#[test]
fn the_messages_page_shows_what_is_sent() -> Result<()> {
    let page = Document::read(&root().join("docs/messages.md"))?;
    let mut shown = Vec::new();
    for (_, block) in page.blocks.iter().filter(|(language, _)| language == "json") {
        shown.push(serde_json::from_str::<serde_json::Value>(block)?);
    }
    let mut wrong = Vec::new();
    for path in files("shared/messaging/tests/wire", ".json")? {
        let golden: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path)?)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let linked = page.links().any(|link| link.ends_with(&name));
        match shown.iter().position(|sample| *sample == golden) {
            Some(index) => drop(shown.remove(index)),
            None if linked => {}
            None => wrong.push(format!("{name} is not shown as it is")),
        }
    }
    wrong.extend(shown.iter().map(|sample| format!("no such message is sent: {sample}")));
    none_of(wrong)
}

#[test]
fn the_saga_page_shows_what_compiles() -> Result<()> {
    let page = Document::read(&root().join("docs/writing-a-saga.md"))?;
    let mut examples = String::new();
    for path in files("docs/examples", ".rs")? {
        examples += &fs::read_to_string(&path)?;
    }
    let rust = page.blocks.iter().filter(|(language, _)| language == "rust");
    let strange = rust.filter(|(_, block)| !examples.contains(block.as_str()));
    none_of(strange.map(|(_, block)| format!("not in docs/examples:\n{block}")).collect())?;
    let participant = fs::read_to_string(root().join("shared/store/participant.sql"))?;
    let hotel = fs::read_to_string(root().join("docs/examples/hotel/0001_hotel.sql"))?;
    ensure!(hotel.starts_with(&participant), "the hotel's tables are not those of a participant");
    Ok(())
}

#[test]
fn the_rules_for_contributors_stay_short() -> Result<()> {
    let lines = fs::read_to_string(root().join("CONTRIBUTING.md"))?.lines().count();
    ensure!(lines <= 60, "{lines} lines, and 60 are the limit");
    Ok(())
}

/// Every way to be stuck names what proves that it heals.
#[test]
fn every_section_of_the_runbook_names_a_proof_that_exists() -> Result<()> {
    let page = fs::read_to_string(root().join("docs/runbook.md"))?;
    let mut tests = String::new();
    for folder in ["tests", "orchestrator"] {
        for path in files(folder, ".rs")? {
            tests += &fs::read_to_string(&path)?;
        }
    }
    let mut wrong = Vec::new();
    for section in page.split("\n## ").skip(1) {
        let title = section.lines().next().unwrap_or_default();
        let Some((_, proof)) = section.split_once("*Proof*: ") else {
            wrong.push(format!("{title}: no proof"));
            continue;
        };
        let proof = proof.lines().next().unwrap_or_default();
        for name in proof.split('`').skip(1).step_by(2) {
            let exists = match name.strip_prefix("make chaos SCENARIO=") {
                Some(scenario) => tests.contains(&format!("\"{scenario}\"")),
                None => tests.contains(&format!("fn {name}(")),
            };
            if !exists {
                wrong.push(format!("{title}: {name} is not there"));
            }
        }
    }
    none_of(wrong)
}
