//! Whatever arrives, reading it ends with the envelope or with a reason, never with a panic.

use contracts::{CommandEnvelope, Leg, SagaId};
use messaging::{BODY_LIMIT, DeadReason, Incoming, Outgoing};
use time::OffsetDateTime;

/// A good command, as it arrives.
fn arrived() -> Incoming {
    let message = Outgoing::command(&CommandEnvelope {
        saga: SagaId(uuid::Uuid::nil()),
        definition: "place-order".to_owned(),
        step: "reserve-stock".to_owned(),
        leg: Leg::Action,
        attempt: 1,
        kind: "inventory.reserve-stock".to_owned(),
        deadline: OffsetDateTime::UNIX_EPOCH,
        traceparent: None,
        body: b"{}".to_vec(),
    });
    Incoming {
        queue: "inventory.commands".to_owned(),
        exchange: message.exchange,
        key: message.key,
        properties: message.properties,
        headers: message.headers,
        body: message.body,
        ..Incoming::default()
    }
}

/// The reason why a command is poison once `harm` was done to it.
fn reason(harm: impl FnOnce(&mut Incoming)) -> DeadReason {
    let mut incoming = arrived();
    harm(&mut incoming);
    incoming.command().expect_err("it should be poison").reason
}

#[test]
fn a_body_that_is_no_sound_json_is_poison() {
    let deep = "[".repeat(5000) + &"]".repeat(5000);
    let bodies: [&[u8]; 7] =
        [b"", b"{", b"not json", b"{\xff}", br#"{"a":"\u0000"}"#, br#""\ud800""#, deep.as_bytes()];
    for body in bodies {
        assert_eq!(reason(|incoming| incoming.body = body.to_vec()), DeadReason::NotJson);
    }
}

#[test]
fn a_body_beyond_the_limit_is_poison_before_anything_else_is_read() {
    let reason = reason(|incoming| {
        incoming.body = vec![b' '; BODY_LIMIT + 1];
        incoming.headers.set("schema-version", 99);
    });
    assert_eq!(reason, DeadReason::TooBig);
}

#[test]
fn another_version_is_poison_whatever_else_it_holds() {
    for version in [0, 2, -1, i64::MAX] {
        let reason = reason(|incoming| {
            incoming.headers.set("schema-version", version);
            incoming.body = b"binary, perhaps".to_vec();
        });
        assert_eq!(reason, DeadReason::SchemaVersion);
    }
}

#[test]
fn a_message_without_a_type_is_of_unknown_type() {
    assert_eq!(reason(|incoming| incoming.properties.kind = None), DeadReason::UnknownType);
    assert_eq!(arrived().start().unwrap_err().reason, DeadReason::UnknownType);
}

#[test]
fn every_header_that_is_missing_or_senseless_is_named() {
    let names = ["saga-definition", "saga-step", "saga-leg", "saga-attempt", "saga-deadline"];
    for name in names.into_iter().chain(["schema-version"]) {
        let mut missing = arrived();
        missing.headers.retain(|header| header != name);
        let poison = missing.command().unwrap_err();
        assert_eq!(poison.reason, DeadReason::BadHeader);
        assert!(poison.error.starts_with(name), "{}", poison.error);
    }
    let senseless = [
        ("saga-leg", "sideways"),
        ("saga-deadline", "soon"),
        ("saga-step", ""),
        ("saga-step", "a\0b"),
        ("saga-attempt", "one"),
        ("schema-version", "1"),
    ];
    for (name, value) in senseless {
        let mut incoming = arrived();
        incoming.headers.set(name, value);
        let poison = incoming.command().unwrap_err();
        assert_eq!(poison.reason, DeadReason::BadHeader);
        assert!(poison.error.starts_with(name), "{}", poison.error);
    }
    for attempt in [-1, 65_536] {
        let harm = |incoming: &mut Incoming| incoming.headers.set("saga-attempt", attempt);
        assert_eq!(reason(harm), DeadReason::BadHeader);
    }
}

#[test]
fn a_message_that_names_no_saga_is_poison() {
    for saga in [None, Some("not-a-uuid".to_owned())] {
        let reason = reason(|incoming| incoming.properties.correlation_id = saga);
        assert_eq!(reason, DeadReason::BadHeader);
    }
}

#[test]
fn a_reply_without_an_outcome_and_an_event_without_an_id_are_poison() {
    assert_eq!(arrived().reply().unwrap_err().reason, DeadReason::BadHeader);
    let mut event = arrived();
    event.properties.message_id = None;
    assert_eq!(event.event().unwrap_err().reason, DeadReason::BadHeader);
}

#[test]
fn a_reason_is_read_as_it_is_written() {
    for reason in DeadReason::ALL {
        assert_eq!(reason.as_str().parse(), Ok(reason));
    }
    assert!("bad luck".parse::<DeadReason>().is_err());
}
