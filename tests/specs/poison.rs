//! Messages that nobody can read.

use crate::{on_stack, wire::Wire};
use anyhow::{Context, Result, ensure};
use contracts::{CommandEnvelope, Leg, Outcome, ReplyEnvelope, SagaId, StartEnvelope};
use messaging::{BODY_LIMIT, Outgoing};
use uuid::Uuid;

type Spoil = fn(&mut Outgoing);

const NOT_JSON: (Spoil, &str) =
    (|message| message.body = b"{\"order\": \xff".to_vec(), "poison-not-json");
const NESTED: (Spoil, &str) =
    (|message| message.body = [b"[".repeat(5_000), b"]".repeat(5_000)].concat(), "poison-not-json");
const TOO_BIG: (Spoil, &str) =
    (|message| message.body = format!("\"{}\"", "x".repeat(BODY_LIMIT)).into(), "poison-too-big");
const NO_HEADERS: (Spoil, &str) =
    (|message| message.headers.retain(|name| name == "schema-version"), "poison-bad-header");
const OTHER_VERSION: (Spoil, &str) =
    (|message| message.headers.set("schema-version", 999), "poison-schema-version");
const OTHER_TYPE: (Spoil, &str) = (
    |message| message.properties.kind = Some("inventory.count-beans".to_owned()),
    "poison-unknown-type",
);

#[tokio::test]
async fn commands_that_nobody_can_read_end_as_dead_letters_and_the_others_go_on() -> Result<()> {
    let spoilt = [NOT_JSON, NESTED, TOO_BIG, NO_HEADERS, OTHER_VERSION, OTHER_TYPE];
    on_stack(&[], async |stack| {
        let command = Outgoing::command(&CommandEnvelope {
            saga: SagaId(Uuid::now_v7()),
            definition: "place-order".to_owned(),
            step: "reserve-stock".to_owned(),
            leg: Leg::Action,
            attempt: 1,
            kind: "inventory.reserve-stock".to_owned(),
            deadline: std::time::SystemTime::now().into(),
            traceparent: None,
            body: b"{}".to_vec(),
        });
        buried(&Wire::to(stack)?, "inventory", &command, &spoilt).await?;
        let id = stack.order_paid_with("card_ok", 1).await?;
        stack.wait_order(id, "confirmed").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn answers_and_starts_that_nobody_can_read_do_not_stop_the_orchestrator() -> Result<()> {
    on_stack(&[], async |stack| {
        let wire = Wire::to(stack)?;
        let id = stack.order_paid_with("card_ok", 1).await?;
        stack.wait_order(id, "confirmed").await?;
        let reply = Outgoing::reply(&ReplyEnvelope {
            saga: id,
            definition: "place-order".to_owned(),
            step: "reserve-stock".to_owned(),
            leg: Leg::Action,
            attempt: 1,
            outcome: Outcome::Done,
            kind: "inventory.reserve-stock".to_owned(),
            from: None,
            traceparent: None,
            body: b"null".to_vec(),
        });
        let of_nobody = |message: &mut Outgoing| {
            message.properties.correlation_id = Some(Uuid::nil().to_string());
        };
        let of_no_saga: (Spoil, &str) = (of_nobody, "fault");
        let replies = [NOT_JSON, NESTED, TOO_BIG, NO_HEADERS, OTHER_VERSION, of_no_saga];
        buried(&wire, "orchestrator", &reply, &replies).await?;

        let start = Outgoing::start(&StartEnvelope {
            saga: SagaId(Uuid::now_v7()),
            definition: "place-order".to_owned(),
            traceparent: None,
            body: b"{}".to_vec(),
        });
        let unheard_of: (Spoil, &str) =
            (|message| message.headers.set("saga-definition", "place-bets"), "poison-unknown-type");
        let empty: (Spoil, &str) = (|_| {}, "poison-not-json");
        let starts = [NOT_JSON, NESTED, TOO_BIG, NO_HEADERS, OTHER_VERSION, unheard_of, empty];
        buried(&wire, "orchestrator", &start, &starts).await?;

        let id = stack.order_paid_with("card_ok", 1).await?;
        stack.wait_order(id, "confirmed").await?;
        Ok(())
    })
    .await
}

/// Each spoilt copy becomes a dead letter for its reason, with all that it came with.
async fn buried(
    wire: &Wire,
    owner: &str,
    original: &Outgoing,
    spoilt: &[(Spoil, &str)],
) -> Result<()> {
    let mut sent = Vec::new();
    for (number, (spoil, reason)) in spoilt.iter().enumerate() {
        let mut message = original.clone();
        spoil(&mut message);
        let kind = original.properties.kind.as_deref().unwrap_or_default();
        message.properties.message_id = Some(format!("spoilt-{kind}-{number}"));
        sent.push((message, *reason));
    }
    let messages: Vec<_> = sent.iter().map(|(message, _)| message.clone()).collect();
    wire.send(&messages).await?;
    let ids: Vec<_> =
        messages.iter().filter_map(|message| message.properties.message_id.clone()).collect();
    let letters = wire.dead_letters(owner, &ids).await?;
    for (message, reason) in &sent {
        let id = message.properties.message_id.as_deref().unwrap_or_default();
        let letter = letters.iter().find(|letter| letter.message_id() == id);
        let letter = letter.with_context(|| format!("no dead letter of {id} ({reason})"))?;
        let death = letter.death().context("it does not tell of its death")?;
        ensure!(death.reason == *reason, "{id}: {death:?} for {reason}");
        ensure!(!death.error.is_empty() && death.from == message.key, "{id}: {death:?}");
        ensure!(letter.body == message.body, "{id}: another body");
        let kept = &letter.properties;
        ensure!(kept.correlation_id == message.properties.correlation_id, "{id}: {kept:?}");
    }
    Ok(())
}
