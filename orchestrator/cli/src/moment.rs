//! Times as the person on call says them.

use serde_json::Value;
use std::time::Duration;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// An RFC 3339 time in an answer.
pub fn instant(value: &Value) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(value.as_str()?, &Rfc3339).ok()
}

/// `3 m ago`, `in 12 s`, `now`; empty where there is no time.
pub fn relative(value: &Value) -> String {
    instant(value).map(|at| between(at, OffsetDateTime::now_utc())).unwrap_or_default()
}

fn between(at: OffsetDateTime, now: OffsetDateTime) -> String {
    let away = now - at;
    let length = lasting(away.unsigned_abs());
    match away.whole_seconds() {
        0 => "now".to_owned(),
        ..0 => format!("in {length}"),
        _ => format!("{length} ago"),
    }
}

/// In the largest unit that fits, cut down: `59 s`, `3 m`, `26 h`, `5 d`.
pub fn lasting(length: Duration) -> String {
    let seconds = length.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..5_400 => format!("{} m", seconds / 60),
        5_400..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Finer, for what is measured: `85 ms`, `1.25 s`.
pub fn measured(length: Duration) -> String {
    match length.as_millis() {
        millis @ 0..1_000 => format!("{millis} ms"),
        _ => format!("{:.2} s", length.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_as_people_say_it() {
        let now = OffsetDateTime::UNIX_EPOCH;
        for (seconds, text) in [
            (0, "now"),
            (12, "12 s ago"),
            (200, "3 m ago"),
            (7_300, "2 h ago"),
            (432_000, "5 d ago"),
            (-12, "in 12 s"),
            (-600, "in 10 m"),
        ] {
            assert_eq!(between(now - time::Duration::seconds(seconds), now), text);
        }
    }
}
