//! One trace for one order, whatever happens to it: real processes export to a collector in the
//! test, and the whole tree is looked at.

mod collector;
mod tree;

use crate::on_stack;
use anyhow::{Context as _, Result, ensure};
use collector::{Collector, Span};
use contracts::SagaId;
use serde_json::json;
use testkit::{PATIENCE, Stack, With, eventually};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const OFTEN: With = With::EnvOfAll("OTEL_BSP_SCHEDULE_DELAY", "50");

#[tokio::test]
async fn an_order_is_one_trace_from_its_request_to_the_last_notification() -> Result<()> {
    let collector = Collector::start().await?;
    on_stack(&[OFTEN, With::EnvOfAll(ENDPOINT, collector.url)], async |stack| {
        let id = stack.order_paid_with("card_ok", 2).await?;
        stack.wait_saga(id, "completed").await?;
        let spans = expect(&collector, id, "completed").await?;
        every_span_says_what_it_is(&spans, id)
    })
    .await
}

#[tokio::test]
async fn a_declined_order_is_one_trace_with_all_that_is_undone() -> Result<()> {
    let collector = Collector::start().await?;
    on_stack(&[OFTEN, With::EnvOfAll(ENDPOINT, collector.url)], async |stack| {
        let id = stack.order_paid_with("card_declined", 2).await?;
        stack.wait_saga(id, "compensated").await?;
        let spans = expect(&collector, id, "compensated").await?;
        every_span_says_what_it_is(&spans, id)
    })
    .await
}

#[tokio::test]
async fn a_further_attempt_is_in_the_same_trace_and_linked_to_the_one_before() -> Result<()> {
    let collector = Collector::start().await?;
    let armed = Armed::new("worker.received inventory.reserve-stock * lose")?;
    let options = [
        OFTEN,
        With::EnvOfAll(ENDPOINT, collector.url),
        With::Env("inventory", "FAILPOINTS_FILE", armed.file),
        With::Env("orchestrator", "SAGA_STEP_TIMEOUT", "5"),
    ];
    on_stack(&options, async |stack| {
        let id = stack.order_paid_with("card_ok", 1).await?;
        armed.disarm_once_it_acted().await?;
        stack.wait_saga(id, "completed").await?;
        expect(&collector, id, "asked-again").await.map(drop)
    })
    .await
}

#[tokio::test]
async fn an_orchestrator_that_is_killed_in_between_goes_on_in_the_same_trace() -> Result<()> {
    let collector = Collector::start().await?;
    let options = [
        OFTEN,
        With::EnvOfAll(ENDPOINT, collector.url),
        // Stored, and the next command not sent: so the saga stands still.
        With::Env("orchestrator", "FAILPOINTS", "orchestrator.after-commit:payment.authorise=hang"),
    ];
    on_stack(&options, async |stack| {
        let id = stack.order_paid_with("card_ok", 1).await?;
        eventually(PATIENCE, "the last command and its answer to be exported", async || {
            let spans = collector.trace_of(id)?;
            let sent = |name: &str| {
                spans.iter().any(|span| {
                    span.name == name && span.attribute("saga.step") == "authorise-payment"
                })
            };
            let both = sent("send payment.commands") && sent("send orchestrator.replies");
            ensure!(both, "{} spans", spans.len());
            Ok(())
        })
        .await?;
        stack.kill9("orchestrator").await?;
        stack.restart("orchestrator").await?;
        stack.wait_saga(id, "completed").await?;
        let tree = complete(&collector, id).await?;
        ensure!(tree.contains("send notification.commands"), "{tree}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_dead_letter_and_its_replay_are_in_the_trace_of_the_order() -> Result<()> {
    let collector = Collector::start().await?;
    let armed = Armed::new("worker.handle order.confirm * fault")?;
    let options = [
        OFTEN,
        With::EnvOfAll(ENDPOINT, collector.url),
        With::Env("order", "FAILPOINTS_FILE", armed.file),
        With::Env("orchestrator", "SAGA_STEP_ATTEMPTS", "1"),
    ];
    on_stack(&options, async |stack| {
        let id = stack.order_paid_with("card_ok", 1).await?;
        let letter = eventually(PATIENCE, "the dead letter to be collected", async || {
            let letters = stack.list("orchestrator", "/api/v1/dead-letters").await?;
            let letter = letters.first().and_then(|letter| letter["dead_letter_id"].as_str());
            let parked = !stack.saga(id).await?["parked"].is_null();
            Ok(letter.filter(|_| parked).context("not there yet")?.to_owned())
        })
        .await?;
        armed.disarm_once_it_acted().await?;
        let path = format!("/api/v1/dead-letters/{letter}/replay");
        let request = stack.request(reqwest::Method::POST, "orchestrator", &path)?;
        let answer = request.json(&json!({ "reason": "mended" })).send().await?;
        ensure!(answer.status().is_success(), "{}", answer.text().await?);
        stack.wait_saga(id, "completed").await?;
        let tree = complete(&collector, id).await?;
        let lines: Vec<_> = tree.lines().map(str::trim_start).collect();
        let at = |start: &str| {
            let found = lines.iter().position(|line| line.starts_with(start));
            found.with_context(|| format!("no {start} in\n{tree}"))
        };
        let letter = at("send order.dead-letters (order producer) [confirm-order action 1]")?;
        let replay = lines[letter..].iter().position(|line| {
            line.starts_with("send order.commands (orchestrator producer) [confirm-order action 1]")
        });
        ensure!(replay.is_some(), "no replay below the letter:\n{tree}");
        at("process order.dead-letters (orchestrator consumer) [confirm-order action 1]")?;
        at("process order.commands (order consumer) [confirm-order action 1] !fault")?;
        at("process order.commands (order consumer) [confirm-order action 1] done ~ send order.commands")?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_client_that_is_traced_finds_the_order_below_its_own_span_and_an_unsampled_one_nothing()
-> Result<()> {
    let collector = Collector::start().await?;
    on_stack(&[OFTEN, With::EnvOfAll(ENDPOINT, collector.url)], async |stack| {
        let unsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
        let dark = order(stack, unsampled).await?;
        stack.wait_saga(dark, "completed").await?;
        let sampled = "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let id = order(stack, sampled).await?;
        stack.wait_saga(id, "completed").await?;
        eventually(PATIENCE, "the whole trace", async || {
            let spans = collector.trace_of(id)?;
            let whole = spans.iter().any(|span| span.name == "saga place-order");
            ensure!(whole, "{} spans", spans.len());
            let request = spans.iter().find(|span| span.kind == 2 && span.service == "order");
            ensure!(request.is_some_and(|span| span.parent[..2] == [0xb7, 0xad]), "{request:?}");
            Ok(())
        })
        .await?;
        let dark = dark.to_string();
        let strays = collector.spans().into_iter().filter(|it| it.attribute("saga.id") == dark);
        let strays: Vec<_> = strays.map(|span| span.name).collect();
        ensure!(strays.is_empty(), "recorded though the client was not: {strays:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_collector_that_is_away_or_never_answers_holds_nobody_up() -> Result<()> {
    // Takes connections and says nothing.
    let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let mute: &str = Box::leak(format!("http://{}", mute.local_addr()?).into_boxed_str());
    let options = [
        OFTEN,
        With::EnvOfAll(ENDPOINT, "http://127.0.0.1:9"),
        With::Env("payment", ENDPOINT, mute),
        With::Env("payment", "OTEL_BSP_MAX_QUEUE_SIZE", "1"),
        With::Env("payment", "OTEL_EXPORTER_OTLP_TIMEOUT", "60000"),
    ];
    on_stack(&options, async |stack| {
        for _ in 0..3 {
            let id = stack.order_paid_with("card_ok", 1).await?;
            stack.wait_saga(id, "completed").await?;
        }
        let (dropped, away) = ("trace_spans_dropped_total", ["reason=\"not-taken\""]);
        stack.wait_metric("orchestrator", dropped, &away, 1.0).await?;
        stack.wait_metric("payment", dropped, &["reason=\"queue-full\""], 1.0).await?;
        for name in ["payment", "orchestrator"] {
            let ended = stack.stop(name).await?;
            ensure!(ended.success(), "{name} ended with {ended}");
            stack.restart(name).await?;
        }
        Ok(())
    })
    .await
}

/// A failpoint that is armed until it has acted.
struct Armed {
    file: &'static str,
}

impl Armed {
    fn new(what: &str) -> Result<Armed> {
        let file = std::env::temp_dir().join(format!("failpoints-{}", uuid::Uuid::new_v4()));
        std::fs::write(&file, format!("1 {what}\n"))?;
        // Options of a stack are made for constants.
        Ok(Armed { file: Box::leak(file.to_string_lossy().into_owned().into_boxed_str()) })
    }

    async fn disarm_once_it_acted(&self) -> Result<()> {
        eventually(PATIENCE, "the failpoint to act", async || {
            Ok(std::fs::metadata(format!("{}.1", self.file)).map(drop)?)
        })
        .await?;
        Ok(std::fs::write(self.file, "")?)
    }
}

impl Drop for Armed {
    fn drop(&mut self) {
        for file in [self.file.to_owned(), format!("{}.1", self.file)] {
            let _ = std::fs::remove_file(file);
        }
    }
}

/// Until the trace is as the file of that name says.
async fn expect(collector: &Collector, id: SagaId, name: &str) -> Result<Vec<Span>> {
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        let tree = complete(collector, id).await?;
        tree::update(name, &tree)?;
    }
    eventually(PATIENCE, "the whole trace", async || {
        let spans = collector.trace_of(id)?;
        tree::compare(name, &tree::render(&spans)?)?;
        Ok(spans)
    })
    .await
}

/// Until nothing has come for a while, and no span is without its parent.
async fn complete(collector: &Collector, id: SagaId) -> Result<String> {
    let mut before = 0;
    let mut calm = 0;
    eventually(PATIENCE, "the trace to be complete", async || {
        let spans = collector.trace_of(id)?;
        calm = if spans.len() == before { calm + 1 } else { 0 };
        before = spans.len();
        let tree = tree::render(&spans)?;
        ensure!(tree.contains("saga place-order"), "the saga has not ended:\n{tree}");
        ensure!(calm > 20, "it still grows");
        Ok(tree)
    })
    .await
}

fn every_span_says_what_it_is(spans: &[Span], id: SagaId) -> Result<()> {
    let id = id.to_string();
    for span in spans {
        ensure!(span.began <= span.ended && span.began > 0, "{span:?}");
        let of_http = span.name == "POST" || span.service == "simulator";
        ensure!(of_http || span.attribute("saga.id") == id, "{span:?}");
        let (operation, destination) = span.name.split_once(' ').unwrap_or_default();
        if ["send", "process"].contains(&operation) {
            ensure!(span.attribute("messaging.system") == "rabbitmq", "{span:?}");
            ensure!(span.attribute("messaging.operation.name") == operation, "{span:?}");
            ensure!(span.attribute("messaging.operation.type") == operation, "{span:?}");
            let name = span.attribute("messaging.destination.name");
            ensure!(name.starts_with("saga.") && name.ends_with(destination), "{span:?}");
            ensure!(span.attribute("messaging.message.id").starts_with(&id), "{span:?}");
        }
        let of_a_leg = destination.ends_with(".commands") || destination.ends_with(".replies");
        if of_a_leg || operation == "call" {
            ensure!(!span.attribute("saga.step").is_empty(), "{span:?}");
            ensure!(!span.attribute("saga.attempt").is_empty(), "{span:?}");
        }
        if operation == "transaction" {
            ensure!(span.attribute("db.system.name") == "postgresql", "{span:?}");
            ensure!(span.attribute("db.namespace") == span.service, "{span:?}");
        }
    }
    Ok(())
}

async fn order(stack: &Stack, traceparent: &str) -> Result<SagaId> {
    let request = stack.request(reqwest::Method::POST, "order", "/api/v1/orders")?;
    let body = json!({
        "customer_id": "cust_123",
        "items": [{ "product_id": "prod_001", "quantity": 1 }],
    });
    let answer = request.header("traceparent", traceparent).json(&body).send().await?;
    let answer: serde_json::Value = answer.error_for_status()?.json().await?;
    Ok(answer["saga_id"].as_str().unwrap_or_default().parse()?)
}
