//! What docs/observability.md tells a reader to type, typed.

use crate::on_stack;
use anyhow::{Context as _, Result, ensure};
use std::{fs, path::Path, process::Stdio, time::Duration};
use testkit::{Stack, With};
use tokio::{process::Command, time::timeout};

/// Where `make up` has the processes.
const PORTS: [(&str, u16); 8] = [
    ("orchestrator", 8000),
    ("order", 8001),
    ("inventory", 8002),
    ("payment", 8003),
    ("notification", 8004),
    ("shipping", 8005),
    ("analytics", 8006),
    ("simulator", 8010),
];

#[tokio::test]
async fn the_page_leads_from_an_order_to_its_logs_and_metrics_with_commands_that_work() -> Result<()>
{
    let as_made_up = [With::EnvOfAll("LOG_FORMAT", "json"), With::EnvOfAll("RUST_LOG", "debug")];
    on_stack(&as_made_up, async |stack| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let page = fs::read_to_string(root.join("docs/observability.md"))?;
        // One shell for all of them: the first finds out the order's id.
        let mut script = String::from("set -eu\n");
        let mut lines = 0;
        for block in page.split("```sh\n").skip(1) {
            let (block, _) = block.split_once("```").context("a block without an end")?;
            script += &here(stack, block)?;
            lines += block.lines().count();
        }
        ensure!(lines > 8, "the page has {lines} lines to type");
        let typed = Command::new("bash")
            .args(["-c", &script])
            .current_dir(&root)
            .env("ORCHESTRATOR_URL", stack.url("orchestrator", "")?)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let said = timeout(Duration::from_secs(60), typed).await.context("it takes too long")??;
        let told = String::from_utf8_lossy(&said.stdout);
        let wrong = String::from_utf8_lossy(&said.stderr);
        ensure!(said.status.success(), "{script}\n{told}\n{wrong}");
        for word in [
            "reserve-stock        compensatable  compensated",
            r#""message":"place-order compensated""#,
            "replies_total{",
            "saga_step_duration_seconds_sum{",
            "queue_wait_seconds_sum{",
            r#"breaker_state{breaker="gateway"} 0"#,
        ] {
            ensure!(told.contains(word), "nothing of {word} in:\n{told}");
        }
        Ok(())
    })
    .await
}

/// The same commands for this stack.
fn here(stack: &Stack, block: &str) -> Result<String> {
    let mut block = block.to_owned();
    for (name, port) in PORTS {
        let place = stack.url(name, "")?;
        block = block.replace(&format!("localhost:{port}"), &place);
    }
    let logs = stack.folder().display().to_string();
    Ok(block.replace(".run/stack/log", &logs))
}
