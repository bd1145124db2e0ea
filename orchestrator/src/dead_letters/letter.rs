//! A dead letter as it is kept: the message whole, and what it is about. Pure.

use super::fingerprint;
use contracts::Leg;
use messaging::{Incoming, REPLIES_QUEUE, STARTS_QUEUE};
use time::OffsetDateTime;
use uuid::Uuid;

const NAMESPACE: Uuid = Uuid::from_u128(0x2f0a_93c7_5be1_4d0f_8c44_96a1_e3b7_5d20);

/// What kind of message it was before it died, which decides where a replay of it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Command,
    Reply,
    Start,
    Event,
    /// From a queue that no replay may go to.
    Unknown,
}

impl Kind {
    const ALL: [Kind; 5] = [Kind::Command, Kind::Reply, Kind::Start, Kind::Event, Kind::Unknown];

    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Command => "command",
            Kind::Reply => "reply",
            Kind::Start => "start",
            Kind::Event => "event",
            Kind::Unknown => "unknown",
        }
    }

    pub fn parse(word: &str) -> Kind {
        Kind::ALL.into_iter().find(|kind| kind.as_str() == word).unwrap_or(Kind::Unknown)
    }

    /// Of what died in `queue` and was `participant`'s to handle. Its own queues only: a letter may
    /// say anything, and no replay shall go where its participant could not have taken it from.
    fn of(participant: &str, queue: &str) -> Kind {
        match queue.strip_prefix(participant).and_then(|rest| rest.strip_prefix('.')) {
            Some("commands") => Kind::Command,
            Some("events") => Kind::Event,
            Some(_) if queue == STARTS_QUEUE => Kind::Start,
            Some(_) if queue == REPLIES_QUEUE => Kind::Reply,
            _ => Kind::Unknown,
        }
    }

    /// Why nobody could read such a message.
    fn unreadable(self, message: &Incoming) -> Option<String> {
        let poison = match self {
            Kind::Command => message.command().err(),
            Kind::Reply => message.reply().err(),
            Kind::Start => message.start().err(),
            Kind::Event => message.event().err(),
            Kind::Unknown => None,
        };
        poison.map(|poison| clean(&poison.to_string()))
    }
}

/// What is stored of a dead letter when it is collected.
#[derive(Debug)]
pub struct Letter {
    pub id: Uuid,
    pub participant: String,
    pub died_in: String,
    pub kind: Kind,
    pub message_id: Option<String>,
    pub message_type: Option<String>,
    pub saga: Option<Uuid>,
    pub definition: Option<String>,
    pub step: Option<String>,
    pub leg: Option<Leg>,
    pub attempt: Option<i32>,
    pub reason: String,
    pub error: String,
    pub tries: i32,
    pub fingerprint: Uuid,
    pub unreadable: Option<String>,
    pub body: Vec<u8>,
    /// JSON.
    pub headers: String,
    /// JSON.
    pub properties: String,
    pub first_failure: Option<OffsetDateTime>,
    /// When it died; `None` when it came without a time.
    pub stamp: Option<OffsetDateTime>,
    /// How often it had been replayed before.
    pub died_after: i32,
}

impl Letter {
    /// Of `message`, taken from the dead letters of `participant`.
    pub fn of(participant: &str, message: &Incoming) -> Letter {
        let death = message.death();
        let (reason, error) = match &death {
            Some(death) => (clean(&death.reason), clean(&death.error)),
            None => ("unknown".to_owned(), String::new()),
        };
        let died_in = death.as_ref().map_or_else(String::new, |death| clean(&death.from));
        let kind = Kind::of(participant, &died_in);
        let property = |text: &Option<String>| text.as_deref().map(clean);
        let header = |name: &str| message.headers.text(name).map(clean);
        let message_type = property(&message.properties.kind);
        let text = message_type.as_deref().unwrap_or_default();
        let whole = |number: Option<u32>| number.and_then(|n| i32::try_from(n).ok()).unwrap_or(0);
        Letter {
            id: identity(participant, &died_in, message),
            fingerprint: fingerprint::of(participant, text, &reason, &error),
            participant: participant.to_owned(),
            kind,
            message_id: property(&message.properties.message_id),
            saga: message.correlation_id().parse().ok(),
            definition: header("saga-definition"),
            step: header("saga-step"),
            leg: message.headers.text("saga-leg").and_then(|leg| leg.parse().ok()),
            attempt: message.headers.int("saga-attempt").and_then(|n| i32::try_from(n).ok()),
            tries: whole(death.as_ref().map(|death| death.attempts)),
            unreadable: kind.unreadable(message),
            body: message.body.clone(),
            headers: message.headers.to_json().to_string(),
            // Plain strings and a number: always JSON.
            properties: serde_json::to_string(&message.properties).unwrap_or_default(),
            first_failure: message.first_failure(),
            stamp: death.and_then(|death| death.at),
            died_after: whole(Some(message.replay_count())),
            message_type,
            reason,
            error,
            died_in,
        }
    }
}

/// The same however often a message comes or dies, and different for different messages: an id
/// that nobody vouches for would do for neither.
fn identity(participant: &str, died_in: &str, message: &Incoming) -> Uuid {
    let words =
        [participant, died_in, message.message_id(), message.correlation_id(), message.kind()];
    let mut text = words.join("\0").into_bytes();
    text.push(0);
    text.extend(&message.body);
    Uuid::new_v5(&NAMESPACE, &text)
}

/// Postgres keeps no NUL in text.
fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use messaging::DeadReason;

    fn command() -> Incoming {
        let mut message = Incoming { queue: "shop.commands".into(), ..Incoming::default() };
        message.properties.message_id = Some("1".into());
        message.properties.kind = Some("shop.take".into());
        message.body = b"{}".to_vec();
        message
    }

    fn dead(message: &Incoming, error: &str) -> Incoming {
        let letter = messaging::Outgoing::dead_letter(message, "shop", DeadReason::Fault, error, 1);
        Incoming {
            queue: "shop.dead-letters".into(),
            properties: letter.properties,
            headers: letter.headers,
            body: letter.body,
            ..Incoming::default()
        }
    }

    #[test]
    fn a_message_is_one_letter_however_often_it_dies() {
        let first = Letter::of("shop", &dead(&command(), "at 1"));
        let second = Letter::of("shop", &dead(&command(), "of something else"));
        assert_eq!(first.id, second.id);
        assert_ne!(first.fingerprint, second.fingerprint);
        let other = Incoming { body: b"[]".to_vec(), ..command() };
        assert_ne!(first.id, Letter::of("shop", &dead(&other, "at 1")).id);
        assert_ne!(first.id, Letter::of("till", &dead(&command(), "at 1")).id);
    }

    #[test]
    fn where_a_replay_may_go_is_its_owners_own_queue_or_nowhere() {
        for (owner, queue, kind) in [
            ("shop", "shop.commands", Kind::Command),
            ("shop", "shop.events", Kind::Event),
            ("shop", "till.commands", Kind::Unknown),
            ("shop", "shop.retry.1s", Kind::Unknown),
            ("shop", "", Kind::Unknown),
            ("orchestrator", "orchestrator.starts", Kind::Start),
            ("orchestrator", "orchestrator.replies", Kind::Reply),
            ("shop", "orchestrator.starts", Kind::Unknown),
        ] {
            assert_eq!(Kind::of(owner, queue), kind, "{owner}: {queue}");
            assert_eq!(Kind::parse(kind.as_str()), kind);
        }
    }

    #[test]
    fn what_cannot_be_stored_as_text_does_not_keep_a_letter_out() {
        let mut message = command();
        message.properties.kind = Some("a\0b".into());
        message.body = vec![0xff, 0];
        let letter = Letter::of("shop", &dead(&message, "no\0text"));
        assert_eq!(letter.message_type.as_deref(), Some("a\u{fffd}b"));
        assert_eq!((letter.error.as_str(), &*letter.body), ("no\u{fffd}text", &[0xff, 0][..]));
        assert!(letter.unreadable.is_some());
    }

    #[test]
    fn a_message_that_says_nothing_of_its_death_is_kept_all_the_same() {
        let letter = Letter::of("shop", &command());
        assert_eq!((letter.reason.as_str(), letter.kind), ("unknown", Kind::Unknown));
        assert_eq!((letter.stamp, letter.tries), (None, 0));
    }
}
