//! Every kind of message exactly as it is sent, against `tests/wire/*.json`: the contract that
//! participants in other languages rely on. `UPDATE_GOLDENS=1` writes the files anew.

use crate::{DeadReason, Headers, Incoming, Outgoing, Tier, pack::Packing};
use contracts::{
    CommandEnvelope, EventEnvelope, Leg, Outcome, ReplyEnvelope, SagaId, StartEnvelope,
};
use lapin::types::ShortString;
use serde_json::{Value, json};
use std::path::Path;
use time::{Duration, OffsetDateTime};

/// Milliseconds since 1970.
const NOW: u64 = 1_772_368_200_250;

fn saga() -> SagaId {
    "0195b1f0-7c3a-7000-8000-000000000001".parse().unwrap()
}

fn trace() -> Option<String> {
    Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned())
}

fn line() -> Value {
    json!({ "product_id": "prod_001", "quantity": 2 })
}

fn command() -> CommandEnvelope {
    CommandEnvelope {
        saga: saga(),
        definition: "place-order".to_owned(),
        step: "reserve-stock".to_owned(),
        leg: Leg::Action,
        attempt: 2,
        kind: "inventory.reserve-stock".to_owned(),
        deadline: OffsetDateTime::UNIX_EPOCH + Duration::milliseconds(1_772_368_230_250),
        traceparent: trace(),
        body: format!(r#"{{"lines":[{}],"order":"{}"}}"#, line(), saga()).into_bytes(),
    }
}

fn reply(outcome: Outcome, body: &[u8]) -> ReplyEnvelope {
    let from = Some("inventory".to_owned());
    ReplyEnvelope { from, ..ReplyEnvelope::to(&command(), outcome, body.to_vec()) }
}

/// What the broker would hand to a consumer of `queue`.
fn delivered(message: &Outgoing, login: &str, queue: &str) -> Incoming {
    let (exchange, key) = (message.exchange.as_str().into(), message.key.as_str().into());
    let mut delivery =
        lapin::message::Delivery::mock(1, exchange, key, false, message.body.clone());
    delivery.properties = message.stamped("tester", login, NOW);
    Incoming::from_delivery(queue, delivery)
}

/// Everything that goes over the wire, sent by the process `app` under the login `login`.
fn picture(message: &Outgoing, app: &str, login: &str) -> Value {
    let sent = message.stamped(app, login, NOW);
    let text = |text: &Option<ShortString>| text.as_ref().map(|text| text.to_string());
    let mut properties = json!({
        "app_id": text(sent.app_id()),
        "content_encoding": text(sent.content_encoding()),
        "content_type": text(sent.content_type()),
        "correlation_id": text(sent.correlation_id()),
        "delivery_mode": sent.delivery_mode(),
        "message_id": text(sent.message_id()),
        "reply_to": text(sent.reply_to()),
        "timestamp": sent.timestamp(),
        "type": text(sent.kind()),
        "user_id": text(sent.user_id()),
    });
    properties.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    json!({
        "exchange": message.exchange,
        "routing_key": message.key,
        "properties": properties,
        "headers": Headers::from(sent.headers().clone().unwrap_or_default()).to_json(),
        "body": serde_json::from_slice::<Value>(&message.body).unwrap_or_else(|_| {
            json!({ "not_json": String::from_utf8_lossy(&message.body) })
        }),
    })
}

fn compare(name: &str, picture: &Value) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire");
    let path = folder.join(format!("{name}.json"));
    let text = format!("{picture:#}\n");
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(golden, text, "{name} is not sent as tests/wire/{name}.json says");
}

/// Replaces the time that the code took itself, once it is sure to be one.
fn at_noon(message: &mut Outgoing, header: &str) {
    let taken = message.headers.text(header).unwrap();
    crate::wire::parse_instant(taken).unwrap();
    message.headers.set(header, "2026-03-01T12:00:00.000Z");
}

#[test]
fn a_command_is_sent_as_documented_and_read_back_the_same() {
    let message = Outgoing::command(&command());
    compare("command", &picture(&message, "orchestrator", "orchestrator"));
    let arrived = delivered(&message, "orchestrator", "inventory.commands");
    assert_eq!(arrived.command().unwrap(), command());
}

#[test]
fn a_pack_is_sent_as_documented_and_its_commands_are_read_back_the_same() {
    let commands: Vec<_> = (1..=4)
        .map(|number| CommandEnvelope {
            saga: SagaId(uuid::Uuid::from_u128(number)),
            traceparent: None,
            ..command()
        })
        .collect();
    let messages: Vec<_> = commands.iter().map(Outgoing::command).collect();
    let messages: Vec<_> = messages.iter().collect();
    let parcels = Packing::new(32, "orchestrator").parcels(&messages);
    assert_eq!(parcels.iter().map(|parcel| parcel.members.len()).collect::<Vec<_>>(), [4]);
    compare("pack", &picture(&parcels[0].message, "orchestrator", "orchestrator"));
    let arrived = delivered(&parcels[0].message, "orchestrator", "inventory.commands").unpacked();
    let arrived: Vec<_> = arrived.iter().map(|command| command.command().unwrap()).collect();
    assert_eq!(arrived, commands);
}

#[test]
fn replies_are_sent_as_documented_and_read_back_the_same() {
    let replies = [
        ("reply-done", reply(Outcome::Done, b"null")),
        (
            "reply-refused",
            reply(
                Outcome::Refused,
                br#"{"reason":"out-of-stock","product_id":"prod_001","wanted":2,"free":1}"#,
            ),
        ),
        ("reply-faulted", reply(Outcome::Faulted, br#"{"error":"the database is away"}"#)),
    ];
    for (name, reply) in replies {
        let message = Outgoing::reply(&reply);
        compare(name, &picture(&message, "inventory", "inventory"));
        let arrived = delivered(&message, "inventory", "orchestrator.replies");
        assert_eq!(arrived.reply().unwrap(), reply);
    }
}

#[test]
fn a_start_is_sent_as_documented_and_read_back_the_same() {
    let start = StartEnvelope {
        saga: saga(),
        definition: "place-order".to_owned(),
        traceparent: None,
        body: json!({
            "customer_id": "cust_123",
            "lines": [line()],
            "total": { "amount": 2580, "currency": "EUR" },
            "payment_method": "card_ok",
            "ship_to": { "country": "DE" },
        })
        .to_string()
        .into_bytes(),
    };
    let message = Outgoing::start(&start);
    compare("start", &picture(&message, "order", "order"));
    let arrived = delivered(&message, "order", "orchestrator.starts");
    assert_eq!(arrived.start().unwrap(), start);
}

#[test]
fn an_event_is_sent_as_documented_and_read_back_the_same() {
    let event = EventEnvelope {
        id: format!("{}/order.confirmed", saga()),
        saga: saga(),
        kind: "order.confirmed".to_owned(),
        traceparent: trace(),
        body: json!({
            "customer_id": "cust_123",
            "lines": [line()],
            "order": saga(),
            "total": { "amount": 2580, "currency": "EUR" },
        }),
    };
    let message = Outgoing::event(&event);
    compare("event", &picture(&message, "order", "order"));
    assert_eq!(delivered(&message, "order", "analytics.events").event().unwrap(), event);
}

#[test]
fn a_retry_is_the_same_command_with_its_history() {
    let first = delivered(&Outgoing::command(&command()), "orchestrator", "inventory.commands");
    let error = "é".repeat(400);
    let mut retry = Outgoing::retry(&first, "inventory", Tier::OneSecond, &error);
    at_noon(&mut retry, "first-failure");
    compare("retry", &picture(&retry, "inventory", "inventory"));

    let second = delivered(&retry, "inventory", "inventory.commands");
    assert_eq!(second.command().unwrap(), command());
    let again = Outgoing::retry(&second, "inventory", Tier::after(second.retry_count()), "worse");
    assert_eq!(again.key, "inventory.retry.5s");
    let again = delivered(&again, "inventory", "inventory.commands");
    assert_eq!((again.retry_count(), again.last_error()), (2, Some("worse")));
    assert_eq!(again.first_failure(), second.first_failure());
}

#[test]
fn a_dead_letter_keeps_all_it_came_with_and_says_why() {
    let mut came = delivered(&Outgoing::command(&command()), "orchestrator", "inventory.commands");
    came.headers.set("x-delivery-count", 3);
    came.headers.set("retry-count", 5);
    let error = "cannot reserve: connection refused";
    let reason = DeadReason::AttemptsSpent;
    let mut letter = Outgoing::dead_letter(&came, "inventory", reason, error, 6);
    at_noon(&mut letter, "dead-at");
    compare("dead-letter", &picture(&letter, "inventory", "inventory"));

    let death = delivered(&letter, "inventory", "inventory.dead-letters").death().unwrap();
    assert_eq!(death.reason.parse(), Ok(reason));
    assert_eq!((&*death.error, &*death.from, death.attempts), (error, "inventory.commands", 6));
    assert!(death.at.is_some());
}

#[test]
fn a_replayed_dead_letter_is_the_message_it_was() {
    let came = delivered(&Outgoing::command(&command()), "orchestrator", "inventory.commands");
    let letter = Outgoing::dead_letter(&came, "inventory", DeadReason::Fault, "e", 1);
    let letter = delivered(&letter, "inventory", "inventory.dead-letters");
    let replayed = Outgoing::replay(&letter, "inventory.commands");
    assert_eq!(replayed.exchange, "saga.commands");
    assert_eq!((replayed.headers, replayed.body), (came.headers, came.body));
    assert_eq!(Outgoing::replay(&letter, "inventory.events").exchange, "");
}

#[test]
fn a_replay_on_demand_keeps_the_identity_and_has_its_retries_and_its_time_again() {
    let mut came = delivered(&Outgoing::command(&command()), "orchestrator", "inventory.commands");
    came.headers.set("retry-count", 5);
    let letter = Outgoing::dead_letter(&came, "inventory", DeadReason::AttemptsSpent, "e", 6);
    let letter = delivered(&letter, "inventory", "inventory.dead-letters");
    let until = command().deadline + Duration::hours(1);
    let mut replay = Outgoing::replay_on_demand(&letter, "inventory.commands", 2, Some(until));
    let arrived = delivered(&replay, "orchestrator", "inventory.commands");
    assert_eq!(arrived.command().unwrap(), CommandEnvelope { deadline: until, ..command() });
    assert_eq!(arrived.message_id(), came.message_id());
    assert_eq!((arrived.retry_count(), arrived.replay_count()), (0, 2));
    assert!(arrived.death().is_none());
    let again = Outgoing::dead_letter(&arrived, "inventory", DeadReason::Fault, "e", 1);
    assert_eq!(delivered(&again, "inventory", "inventory.dead-letters").replay_count(), 2);

    replay = Outgoing::replay_on_demand(&letter, "analytics.events", 1, None);
    let (exchange, key) = (replay.exchange.as_str(), replay.key.as_str());
    assert_eq!((exchange, key), ("saga.events", "inventory.reserve-stock"));
}

#[test]
fn an_outbox_row_gives_back_the_message_it_holds() {
    let mut message = Outgoing::command(&command());
    for body in [b"{\"a\":1}".to_vec(), b"\xff\x00".to_vec(), b"a\0b".to_vec(), Vec::new()] {
        message.body = body;
        let row = serde_json::to_value(&message).unwrap();
        assert_eq!(serde_json::from_value::<Outgoing>(row).unwrap(), message);
    }
}

#[test]
fn a_time_is_written_in_milliseconds_of_utc() {
    let offset = time::UtcOffset::from_hms(2, 0, 0).unwrap();
    let at = (OffsetDateTime::UNIX_EPOCH + Duration::milliseconds(5)).to_offset(offset);
    assert_eq!(crate::wire::instant(at), "1970-01-01T00:00:00.005Z");
}

/// A name longer than AMQP has room for is cut; the library would panic.
#[test]
fn a_name_that_is_too_long_ends_no_process() {
    let mut message = Outgoing::command(&command());
    message.properties.message_id = Some("é".repeat(200));
    message.headers.set(&"h".repeat(300), "x");
    message.stamped("app", "login", NOW);
}
