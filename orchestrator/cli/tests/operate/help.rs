//! What the program says of itself, and that the page about it says the same.

use crate::program::Program;
use anyhow::{Context, Result, ensure};
use std::{fs, path::Path};

/// Every command, in the order of the help, with what it is for.
type Commands = Vec<(String, String)>;

#[tokio::test]
async fn every_help_text_is_the_one_that_was_agreed_on() -> Result<()> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/operate/help.txt");
    let mut now = String::new();
    for (command, text) in helps().await? {
        now += &format!("$ sagactl {command}--help\n{text}\n");
    }
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        fs::write(&golden, &now)?;
    }
    let agreed = fs::read_to_string(&golden)?;
    let first = agreed.lines().zip(now.lines()).find(|(agreed, now)| agreed != now);
    ensure!(agreed == now, "the help differs (UPDATE_GOLDENS=1 takes it over), first: {first:?}");
    Ok(())
}

#[tokio::test]
async fn every_help_text_fits_a_terminal_of_80_columns() -> Result<()> {
    for (command, text) in helps().await? {
        for line in text.lines() {
            ensure!(line.chars().count() <= 80, "sagactl {command}--help: {line}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_page_lists_every_command_and_no_other() -> Result<()> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/sagactl.md");
    let page = fs::read_to_string(page)?;
    let listed: Vec<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `sagactl "))
        .filter_map(|line| line.split_once("` | "))
        .map(|(command, about)| (command.to_owned(), about.trim_end_matches([' ', '|']).to_owned()))
        .collect();
    let real = commands().await?;
    for (listed, real) in listed.iter().zip(&real) {
        ensure!(listed == real, "the page says {listed:?}, the program {real:?}");
    }
    ensure!(listed.len() == real.len(), "{} listed, {} there", listed.len(), real.len());
    Ok(())
}

#[tokio::test]
async fn completions_know_every_command() -> Result<()> {
    let program = Program::default();
    for shell in ["bash", "zsh", "fish"] {
        let script = program.run(&format!("completions {shell}")).await?.ends_with(0)?;
        for (command, _) in commands().await? {
            let last = command.split(' ').next_back().context("a command has a name")?;
            ensure!(script.out.contains(last), "{shell} does not know {command}");
        }
    }
    Ok(())
}

/// Commands that have no further ones below.
async fn commands() -> Result<Commands> {
    let mut commands = Vec::new();
    for (command, text) in helps().await? {
        for (name, about) in below(&text) {
            let name = format!("{command}{name}");
            let further = Program::default().run(&format!("{name} --help")).await?;
            if below(&further.out).is_empty() {
                commands.push((name, about));
            }
        }
    }
    // As they are in the help of the whole, not level by level.
    let top = below(&Program::default().run("--help").await?.out);
    let place = |command: &str| {
        top.iter().position(|(name, _)| command.split(' ').next() == Some(name.as_str()))
    };
    commands.sort_by_key(|(command, _)| place(command));
    Ok(commands)
}

/// The help of each command that has one, the whole's first: `("sagas list ", text)`.
async fn helps() -> Result<Vec<(String, String)>> {
    let program = Program::default().with("COLUMNS", "80");
    let mut found = Vec::new();
    let mut open = vec![String::new()];
    while let Some(command) = open.pop() {
        let help = program.run(&format!("{command}--help")).await?.ends_with(0)?;
        let below = below(&help.out).into_iter().rev();
        open.extend(below.map(|(name, _)| format!("{command}{name} ")));
        found.push((command, help.out));
    }
    Ok(found)
}

/// The commands that a help lists, with what is said of them.
fn below(help: &str) -> Commands {
    let list = help.split("\nCommands:\n").nth(1).unwrap_or_default();
    let mut found = Commands::new();
    for line in list.lines().take_while(|line| !line.is_empty()) {
        match line.strip_prefix("  ").filter(|line| !line.starts_with(' ')) {
            Some(line) => {
                let (name, about) = line.split_once(' ').unwrap_or((line, ""));
                found.push((name.to_owned(), about.trim().to_owned()));
            }
            // A sentence that goes on.
            None => {
                if let Some((_, about)) = found.last_mut() {
                    *about += &format!(" {}", line.trim());
                }
            }
        }
    }
    found.retain(|(name, _)| name != "help");
    found
}
