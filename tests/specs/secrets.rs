//! What a log never holds: passwords, what pays, and who the customer is. At the most talkative level,
//! through what goes well and what goes wrong.

use crate::{on_stack, wire::Wire};
use anyhow::{Context as _, Result, ensure};
use contracts::{CommandEnvelope, Leg, Outcome, ReplyEnvelope, SagaId};
use messaging::Outgoing;
use reqwest::{Method, Url};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use testkit::{Stack, With};
use uuid::Uuid;

const CARD: &str = "tok_4111111111111111";
const SMTP_PASSWORD: &str = "planted-smtp-password";
const WEBHOOK_PASSWORD: &str = "planted-webhook-password";
const MAIL: &str = "planted.customer@mail.test";
const PHONE: &str = "+4915550001234";
const NAME: &str = "Planted Customer";
const STREET: &str = "Planted Street 7";

const DEBUG: [With; 4] = [
    With::EnvOfAll("RUST_LOG", "debug"),
    With::EnvOfAll("LOG_FORMAT", "json"),
    // Nobody listens at either.
    With::Env("notification", "SMTP_URL", "smtp://mailer:planted-smtp-password@127.0.0.1:1"),
    With::Env(
        "notification",
        "WEBHOOK_URL",
        "http://hook:planted-webhook-password@127.0.0.1:1/tell",
    ),
];

#[tokio::test]
async fn no_log_holds_a_secret_and_every_line_can_be_asked_for_its_saga() -> Result<()> {
    on_stack(&DEBUG, async |stack| {
        sqlx::query(
            "INSERT INTO customer (customer_id, email, phone) VALUES ('cust_planted', $1, $2)",
        )
        .bind(MAIL)
        .bind(PHONE)
        .execute(stack.database("notification")?.pool())
        .await?;
        let good = order(stack, "card_ok", "DE").await?;
        let declined = order(stack, CARD, "DE").await?;
        let undeliverable = order(stack, "card_ok", "XX").await?;
        wrong_input(stack).await?;
        poison(stack, good).await?;
        stack.wait_saga(declined, "compensated").await?;
        stack.wait_saga(undeliverable, "compensated").await?;
        stack.wait_metric("notification", "breaker_changes_total", &[r#"to="open""#], 1.0).await?;
        // From now on it tells customers by its log.
        stack.set_env("notification", "SMTP_URL", "")?;
        stack.set_env("notification", "WEBHOOK_URL", "")?;
        stack.restart("notification").await?;
        stack.wait_saga(good, "completed").await?;

        let lines = lines(stack)?;
        no_secret(stack, &lines)?;
        queryable(&lines, declined)?;
        told_once(&lines)
    })
    .await
}

async fn order(stack: &Stack, method: &str, country: &str) -> Result<SagaId> {
    let to = json!({ "name": NAME, "street": STREET, "city": "Berlin", "country": country });
    let items = json!([{ "product_id": "prod_001", "quantity": 1 }]);
    let order = json!({
        "customer_id": "cust_planted", "items": items, "payment_method": method, "ship_to": to,
    });
    stack.order(order).await
}

/// Requests that are refused, each for a field that holds what must not be told.
async fn wrong_input(stack: &Stack) -> Result<()> {
    let items = json!([{ "product_id": "prod_001", "quantity": 1 }]);
    for body in [
        json!({ "customer_id": "cust_planted", "items": items, "payment_method": [CARD] }),
        json!({ "customer_id": "cust_planted", "items": CARD }),
        json!({ "customer_id": "cust_planted", "items": items, CARD: 1 }),
        json!({ "customer_id": "cust_planted", "items": items, "ship_to": { "country": NAME } }),
    ] {
        let request = stack.request(Method::POST, "order", "/api/v1/orders")?;
        let status = request.json(&body).send().await?.status();
        ensure!(status.is_client_error(), "{status} for {body}");
    }
    Ok(())
}

/// A command and a reply whose bodies are not what their types say.
async fn poison(stack: &Stack, saga: SagaId) -> Result<()> {
    let command = Outgoing::command(&CommandEnvelope {
        saga: SagaId(Uuid::now_v7()),
        definition: "place-order".to_owned(),
        step: "authorise-payment".to_owned(),
        leg: Leg::Action,
        attempt: 1,
        kind: "payment.authorise".to_owned(),
        deadline: std::time::SystemTime::now().into(),
        traceparent: None,
        body: json!(CARD).to_string().into_bytes(),
    });
    let reply = Outgoing::reply(&ReplyEnvelope {
        saga,
        definition: "place-order".to_owned(),
        step: "authorise-payment".to_owned(),
        leg: Leg::Action,
        attempt: 1,
        outcome: Outcome::Done,
        kind: "payment.authorise".to_owned(),
        from: None,
        traceparent: None,
        body: json!(CARD).to_string().into_bytes(),
    });
    let wire = Wire::to(stack)?;
    wire.send(&[command, reply]).await?;
    stack.wait_metric("payment", "dead_letters_total", &[], 1.0).await
}

/// Of every process: its name, the line, and what it says.
fn lines(stack: &Stack) -> Result<Vec<(String, String, Value)>> {
    let mut lines = Vec::new();
    for (name, service) in stack.processes() {
        for line in stack.log(name)?.lines() {
            let parsed: Value = serde_json::from_str(line)
                .with_context(|| format!("{name} wrote a line that is no JSON: {line}"))?;
            ensure!(parsed["service"] == service, "{name}: {line}");
            lines.push((name.to_owned(), line.to_owned(), parsed));
        }
    }
    Ok(lines)
}

fn no_secret(stack: &Stack, lines: &[(String, String, Value)]) -> Result<()> {
    let mut secrets = vec![CARD.to_owned(), CARD.replace("tok_", "")];
    let planted = [SMTP_PASSWORD, WEBHOOK_PASSWORD, MAIL, PHONE, NAME, STREET];
    secrets.extend(planted.map(str::to_owned));
    for variable in ["AMQP_URL", "DATABASE_URL"] {
        let url: Url = stack.env("order", variable)?.parse()?;
        secrets.push(url.password().context("a URL without a password")?.to_owned());
    }
    let told: Vec<_> = secrets
        .iter()
        .filter_map(|secret| {
            let (process, line, _) =
                lines.iter().find(|(_, line, _)| line.contains(secret.as_str()))?;
            Some(format!("{secret}, by {process}: {line}"))
        })
        .collect();
    ensure!(told.is_empty(), "in logs:\n{}", told.join("\n"));
    Ok(())
}

/// The whole story of a saga is found by its id: each transition at debug, the ending at info, what each
/// participant answered, in words as well as in fields.
fn queryable(lines: &[(String, String, Value)], saga: SagaId) -> Result<()> {
    let id = saga.to_string();
    let of_saga = lines.iter().filter(|(.., line)| line["saga.id"] == id.as_str());
    let story: Vec<_> = of_saga.map(|(_, _, line)| line).collect();
    let find = |service: &str, message: &str| {
        let found =
            story.iter().find(|line| line["service"] == service && line["message"] == message);
        found.with_context(|| format!("{service} does not say {message:?}: {story:#?}"))
    };
    let refused = find("orchestrator", "place-order replied authorise-payment action refused")?;
    for (field, value) in [
        ("level", json!("DEBUG")),
        ("saga.definition", json!("place-order")),
        ("saga.step", json!("authorise-payment")),
        ("saga.leg", json!("action")),
        ("saga.attempt", json!(1)),
        ("outcome", json!("refused")),
    ] {
        ensure!(refused[field] == value, "{field} of {refused}");
    }
    find("orchestrator", "place-order replied reserve-stock compensation done")?;
    find("inventory", "inventory.release-stock done")?;
    find("payment", "payment.authorise refused")?;
    let ended = find("orchestrator", "place-order compensated")?;
    ensure!(ended["level"] == "INFO", "{ended}");
    Ok(())
}

/// Each try of a command that faulted is told of by one line above debug.
fn told_once(lines: &[(String, String, Value)]) -> Result<()> {
    let mut seen = BTreeSet::new();
    for (name, line, parsed) in lines {
        let faulted = parsed["message"].as_str().is_some_and(|text| text.ends_with(" faulted"));
        if faulted && parsed["level"] != "DEBUG" {
            let keys = ["saga.id", "saga.step", "saga.leg", "saga.attempt", "retries"];
            let tried = keys.map(|key| parsed[key].to_string());
            ensure!(seen.insert(tried), "{name} tells of it twice: {line}");
        }
    }
    ensure!(!seen.is_empty(), "nothing has faulted");
    Ok(())
}
