//! What can only be seen from outside a process: that it dies, and what it writes. Each test
//! starts this test binary again with one of the `child_` functions.

#![allow(clippy::unwrap_used)]

use runtime::{failpoint, shutdown::Shutdown, telemetry};
use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Output, Stdio},
};

fn child(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--ignored", "--nocapture"]);
    command
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
#[ignore = "a child of other tests"]
async fn child_hits_a_failpoint_three_times() {
    for round in 1..=3 {
        failpoint::hit_for("worker.after-commit", "payment.capture", "a saga").await;
        telemetry::init("child");
        tracing::info!(round, "survived");
    }
}

#[test]
#[cfg(debug_assertions)]
fn a_kill_failpoint_ends_the_process_at_its_hit() {
    let output = child("child_hits_a_failpoint_three_times")
        .env("FAILPOINTS", "worker.after-commit:payment.capture=kill@2")
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(output.status.code().is_none(), "killed, not exited");
    assert_eq!(text(&output).matches("survived").count(), 1, "{}", text(&output));
}

#[test]
#[cfg(debug_assertions)]
fn a_failpoint_with_a_once_file_spares_the_restarted_process() {
    let file = std::env::temp_dir().join(format!("failpoint-once-{}", uuid::Uuid::now_v7()));
    let run = || {
        child("child_hits_a_failpoint_three_times")
            .env("FAILPOINTS", "worker.after-commit=kill")
            .env("FAILPOINT_ONCE", &file)
            .output()
            .unwrap()
    };
    assert!(!run().status.success());
    let restarted = run();
    assert!(restarted.status.success());
    assert_eq!(text(&restarted).matches("survived").count(), 3);
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn every_line_of_a_json_log_is_json_and_tells_the_service() {
    let output = child("child_hits_a_failpoint_three_times")
        .env("LOG_FORMAT", "json")
        .env_remove("RUST_LOG")
        .output()
        .unwrap();
    let text = text(&output);
    let lines: Vec<_> = text.lines().filter(|line| line.starts_with('{')).collect();
    assert_eq!(lines.len(), 3, "{text}");
    for line in lines {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["service"], "child");
        assert_eq!(line["message"], "survived");
        assert_eq!(line["level"], "INFO");
    }
}

#[test]
fn without_being_asked_a_terminal_gets_lines_for_people_and_a_file_gets_json() {
    let name = "child_hits_a_failpoint_three_times";
    let bare = |mut command: Command| {
        command.env_remove("LOG_FORMAT").env_remove("RUST_LOG").stdin(Stdio::null());
        text(&command.output().unwrap())
    };
    let piped = bare(child(name));
    assert!(piped.lines().any(|line| line.starts_with("{\"service\":\"child\"")), "{piped}");
    // util-linux's: runs the same with a terminal of its own as its standard output.
    let mut terminal = Command::new("script");
    let asked = std::env::current_exe().unwrap();
    let asked = format!("{} --exact {name} --ignored --nocapture", asked.display());
    terminal.args(["--quiet", "--return", "--command", &asked, "/dev/null"]);
    let shown = bare(terminal);
    assert!(shown.contains("survived") && !shown.contains("{\"service\""), "{shown}");
}

#[tokio::test]
#[ignore = "a child of other tests"]
async fn child_stops_at_the_second_signal_only() {
    let shutdown = Shutdown::on_signals();
    telemetry::init("child");
    tracing::info!("ready");
    shutdown.begun().await;
    tracing::info!("begun");
    std::future::pending::<()>().await;
}

#[test]
fn a_first_signal_begins_the_shutdown_and_a_second_ends_the_process_with_130() {
    let mut process = child("child_stops_at_the_second_signal_only")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let id = process.id().to_string();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    for (seen, signal) in [("ready", "-TERM"), ("begun", "-INT")] {
        assert!(lines.any(|line| line.unwrap().contains(seen)));
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }
    assert_eq!(process.wait().unwrap().code(), Some(130));
}
