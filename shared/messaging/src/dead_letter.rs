//! What happens to a message that was not handled: another try later, or the dead letters.

use crate::{
    COMMANDS, DEAD_LETTERS, EVENTS, Headers, Incoming, Outgoing, REPLIES, REPLIES_QUEUE,
    STARTS_QUEUE, Tier, dead_letter_queue,
    departure::Departure,
    headers::cut,
    retry_queue,
    wire::{instant, parse_instant},
};
use std::{fmt, str::FromStr};
use time::OffsetDateTime;

pub(crate) const RETRY_COUNT: &str = "retry-count";
const FIRST_FAILURE: &str = "first-failure";
const LAST_ERROR: &str = "last-error";
/// How often an operator had it replayed. It dies with the message, so that a death tells which
/// replay it was the end of.
const REPLAY_COUNT: &str = "replay-count";
const REASON: &str = "dead-reason";
const ERROR: &str = "dead-error";
const FROM: &str = "dead-from";
const ATTEMPTS: &str = "dead-attempts";
const AT: &str = "dead-at";
/// The login of who sent the original: a message can only be sent under one's own.
const USER: &str = "dead-user-id";

const LAST_ERROR_LIMIT: usize = 500;
const ERROR_LIMIT: usize = 2000;

/// Why a message went to the dead letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeadReason {
    NotJson,
    UnknownType,
    BadHeader,
    SchemaVersion,
    TooBig,
    /// Every retry within the step's time was spent.
    AttemptsSpent,
    /// A fault that no retry would help.
    Fault,
}

impl DeadReason {
    pub const ALL: [DeadReason; 7] = [
        DeadReason::NotJson,
        DeadReason::UnknownType,
        DeadReason::BadHeader,
        DeadReason::SchemaVersion,
        DeadReason::TooBig,
        DeadReason::AttemptsSpent,
        DeadReason::Fault,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            DeadReason::NotJson => "poison-not-json",
            DeadReason::UnknownType => "poison-unknown-type",
            DeadReason::BadHeader => "poison-bad-header",
            DeadReason::SchemaVersion => "poison-schema-version",
            DeadReason::TooBig => "poison-too-big",
            DeadReason::AttemptsSpent => "attempts-spent",
            DeadReason::Fault => "fault",
        }
    }
}

impl fmt::Display for DeadReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for DeadReason {
    type Err = UnknownReason;

    fn from_str(text: &str) -> Result<Self, UnknownReason> {
        DeadReason::ALL
            .into_iter()
            .find(|reason| reason.as_str() == text)
            .ok_or_else(|| UnknownReason(text.to_owned()))
    }
}

/// A word that is no [`DeadReason`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no reason for a dead letter")]
pub struct UnknownReason(String);

/// What a dead letter says about its death.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    /// A [`DeadReason`], or the broker's own word when it was the broker that gave up:
    /// `delivery_limit`, `rejected`.
    pub reason: String,
    /// The error chain; empty when it was the broker that gave up.
    pub error: String,
    /// The queue it was taken from.
    pub from: String,
    pub attempts: u32,
    /// To the second when it was the broker that gave up.
    pub at: Option<OffsetDateTime>,
}

impl Outgoing {
    /// The same command once more, after the tier's delay. Counts the retry.
    pub fn retry(command: &Incoming, participant: &str, tier: Tier, error: &str) -> Outgoing {
        let mut headers = without_broker_marks(&command.headers);
        headers.set(RETRY_COUNT, i64::from(command.retry_count()) + 1);
        if command.first_failure().is_none() {
            headers.set(FIRST_FAILURE, instant(OffsetDateTime::now_utc()));
        }
        headers.set(LAST_ERROR, cut(error, LAST_ERROR_LIMIT));
        Outgoing {
            exchange: COMMANDS.to_owned(),
            key: retry_queue(participant, tier),
            properties: command.properties.clone(),
            headers,
            body: command.body.clone(),
            departure: Departure::default(),
        }
    }

    /// `message` with everything it came with, and why no retry will help. `error` is the whole chain.
    pub fn dead_letter(
        message: &Incoming,
        owner: &str,
        reason: DeadReason,
        error: &str,
        attempts: u32,
    ) -> Outgoing {
        let mut headers = message.headers.clone();
        headers.retain(|name| name != "x-delivery-count" && name != "x-acquired-count");
        headers.set(REASON, reason.as_str());
        headers.set(ERROR, cut(error, ERROR_LIMIT));
        headers.set(FROM, message.queue.as_str());
        headers.set(ATTEMPTS, i64::from(attempts));
        headers.set(AT, instant(OffsetDateTime::now_utc()));
        if let Some(user) = &message.properties.user_id {
            headers.set(USER, user.as_str());
        }
        Outgoing {
            exchange: DEAD_LETTERS.to_owned(),
            key: dead_letter_queue(owner),
            properties: message.properties.clone(),
            headers,
            body: message.body.clone(),
            departure: Departure::default(),
        }
    }

    /// A dead letter that is sent again because an operator wants it: the same message under the
    /// same id, its retries not yet spent. A command is given until `deadline`. An event goes
    /// where events go, and the subscribers that have had it know it by its id. `count` is the
    /// number of this replay.
    pub fn replay_on_demand(
        letter: &Incoming,
        queue: &str,
        count: u32,
        deadline: Option<OffsetDateTime>,
    ) -> Outgoing {
        let mut replay = Outgoing::replay(letter, queue);
        replay.headers.set(REPLAY_COUNT, i64::from(count));
        if let Some(deadline) = deadline {
            replay.give_until(deadline);
        }
        if replay.exchange.is_empty() {
            EVENTS.clone_into(&mut replay.exchange);
            letter.kind().clone_into(&mut replay.key);
        }
        replay
    }

    /// A dead letter back to `queue`, as it was before its first failure.
    pub fn replay(letter: &Incoming, queue: &str) -> Outgoing {
        let mut headers = without_broker_marks(&letter.headers);
        headers.retain(|name| {
            !name.starts_with("dead-") && ![RETRY_COUNT, FIRST_FAILURE, LAST_ERROR].contains(&name)
        });
        // An event's exchange would hand it to every subscriber again, so that it goes straight
        // to the one queue it fell out of.
        let exchange = match queue {
            REPLIES_QUEUE => REPLIES,
            STARTS_QUEUE => COMMANDS,
            _ if queue.ends_with(".commands") => COMMANDS,
            _ => "",
        };
        Outgoing {
            exchange: exchange.to_owned(),
            key: queue.to_owned(),
            properties: letter.properties.clone(),
            headers,
            body: letter.body.clone(),
            departure: Departure::default(),
        }
    }
}

impl Incoming {
    /// How often this command went through a retry queue. Attempts of the orchestrator do not count.
    pub fn retry_count(&self) -> u32 {
        self.headers.int(RETRY_COUNT).and_then(|count| u32::try_from(count).ok()).unwrap_or(0)
    }

    /// How often an operator had this message replayed before it came here.
    pub fn replay_count(&self) -> u32 {
        self.headers.int(REPLAY_COUNT).and_then(|count| u32::try_from(count).ok()).unwrap_or(0)
    }

    pub fn first_failure(&self) -> Option<OffsetDateTime> {
        self.headers.text(FIRST_FAILURE).and_then(parse_instant)
    }

    pub fn last_error(&self) -> Option<&str> {
        self.headers.text(LAST_ERROR)
    }

    /// `None` when this is no dead letter.
    pub fn death(&self) -> Option<Death> {
        let text = |name: &str| self.headers.text(name);
        if let Some(reason) = text(REASON) {
            let attempts = self.headers.int(ATTEMPTS).unwrap_or_default();
            return Some(Death {
                reason: reason.to_owned(),
                error: text(ERROR).unwrap_or_default().to_owned(),
                from: text(FROM).unwrap_or_default().to_owned(),
                attempts: u32::try_from(attempts).unwrap_or_default(),
                at: text(AT).and_then(parse_instant),
            });
        }
        // The broker's own notes, the latest first. Coming out of a retry queue is no death.
        let notes = self.headers.to_json();
        let note = notes.get("x-death")?.get(0)?;
        let word = |name: &str| note.get(name).and_then(|word| word.as_str()).map(str::to_owned);
        let reason = word("reason").filter(|reason| reason != "expired")?;
        Some(Death {
            reason,
            error: String::new(),
            from: word("queue").unwrap_or_default(),
            attempts: self.retry_count() + 1,
            at: note
                .get("time")
                .and_then(|time| time.as_i64())
                .and_then(|time| OffsetDateTime::from_unix_timestamp(time).ok()),
        })
    }
}

/// Without what the broker noted on the way. Its notes would make it take a second pass through
/// a retry queue for a message that goes round in circles, and drop it.
fn without_broker_marks(headers: &Headers) -> Headers {
    let mut kept = headers.clone();
    kept.retain(|name| {
        !(name == "x-death"
            || name.starts_with("x-first-death-")
            || name.starts_with("x-last-death-")
            || name == "x-delivery-count"
            || name == "x-acquired-count")
    });
    kept
}
