//! What becomes of a command that faulted: another try later, or a dead letter. Pure.

use messaging::Tier;
use time::OffsetDateTime;

/// As much of a fault as decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Nature {
    Transient,
    Permanent,
    /// The body is not what the command's type says.
    Unreadable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// Into the delayed retry queue; nobody is told.
    Retry(Tier),
    /// Tries or time are spent: a dead letter, and the answer *faulted*.
    Spent,
    /// No retry helps: a dead letter, and the answer *faulted*.
    Hopeless,
    /// Poison: a dead letter and no answer, as there is no telling what was asked.
    Poison,
}

/// For a fault of a command that went through the retry queues `retries` times of at most
/// `limit`, and whose sender waits until `deadline`. A retry that could only begin after the
/// deadline is not made: the sender would have gone on without it.
pub fn of(
    nature: Nature,
    retries: u32,
    limit: u32,
    deadline: OffsetDateTime,
    now: OffsetDateTime,
) -> Fate {
    match nature {
        Nature::Unreadable => Fate::Poison,
        Nature::Permanent => Fate::Hopeless,
        Nature::Transient => {
            let tier = Tier::after(retries);
            match retries < limit && now + tier.delay() < deadline {
                true => Fate::Retry(tier),
                false => Fate::Spent,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Fate::*, Nature::*, *};

    #[test]
    fn a_fault_is_retried_while_tries_and_time_are_left() {
        let now = OffsetDateTime::UNIX_EPOCH;
        for (nature, retries, seconds_left, fate) in [
            (Transient, 0, 60, Retry(Tier::OneSecond)),
            (Transient, 1, 60, Retry(Tier::FiveSeconds)),
            (Transient, 2, 60, Retry(Tier::ThirtySeconds)),
            (Transient, 4, 60, Retry(Tier::ThirtySeconds)),
            (Transient, 5, 60, Spent),
            (Transient, 0, 2, Retry(Tier::OneSecond)),
            (Transient, 0, 1, Spent),
            (Transient, 1, 5, Spent),
            (Transient, 2, 30, Spent),
            (Transient, 2, 31, Retry(Tier::ThirtySeconds)),
            (Transient, 0, -10, Spent),
            (Permanent, 0, 60, Hopeless),
            (Permanent, 5, -10, Hopeless),
            (Unreadable, 0, 60, Poison),
        ] {
            let deadline = now + time::Duration::seconds(seconds_left);
            let case = format!("{nature:?}, {retries} retries, {seconds_left} s left");
            assert_eq!(of(nature, retries, 5, deadline, now), fate, "{case}");
        }
    }
}
