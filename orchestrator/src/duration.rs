//! Durations as people type them.

use std::{str::FromStr, time::Duration};

/// A duration as a setting has it: see [`parse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age(pub Duration);

impl FromStr for Age {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).map(Age)
    }
}

/// `90s`, `10m`, `2h`, `3d`; a bare number is seconds.
pub fn parse(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.find(|letter: char| !letter.is_ascii_digit()) {
        Some(place) => text.split_at(place),
        None => (text, "s"),
    };
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err("a duration looks like 90s, 10m, 2h or 3d".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "a duration begins with a number".to_owned())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(|| "too long".to_owned())
}

#[cfg(test)]
mod tests {
    use super::parse;
    use std::time::Duration;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        for (text, seconds) in
            [("90", 90), ("90s", 90), ("10m", 600), ("2h", 7_200), ("1d", 86_400)]
        {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "m", "-1s", "1w", "1.5h", "99999999999999999999s"] {
            parse(text).unwrap_err();
        }
    }
}
