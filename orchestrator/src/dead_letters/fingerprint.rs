//! What dead letters have in common: whose they are, what they are, and why they died, with
//! everything left out that differs from one to the next. Pure.

use uuid::Uuid;

const NAMESPACE: Uuid = Uuid::from_u128(0x6b1d_4c52_0d6a_4b8e_9a37_5c4f_21d0_7e11);
/// What stands for a number, an id or a time.
const FOLD: char = '#';
/// A word of letters and digits from this length on is an id, not a name.
const ID: usize = 12;
/// Hexadecimal from this length on, if there is a digit in it.
const HEX: usize = 8;
const UUID: [usize; 5] = [8, 4, 4, 4, 12];

/// The same for letters that died of the same thing.
pub fn of(participant: &str, kind: &str, reason: &str, error: &str) -> Uuid {
    let text = [participant, kind, reason, &folded(error)].join("\0");
    Uuid::new_v5(&NAMESPACE, text.as_bytes())
}

/// `text` with times, UUIDs, numbers, hexadecimal and other ids folded into `#`.
pub fn folded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = None;
    while let Some(next) = rest.chars().next() {
        // An id begins where a word does; `_` separates words, as in `auth_01a1fd`.
        let fresh = !before.is_some_and(|c: char| c.is_alphanumeric());
        let taken = match fresh {
            true => instant(rest).or_else(|| uuid(rest)).or_else(|| id(rest)),
            false => None,
        };
        let taken = taken.or_else(|| number(rest, fresh)).unwrap_or(0);
        if taken > 0 {
            out.push(FOLD);
            before = rest[..taken].chars().last();
            rest = &rest[taken..];
        } else {
            out.push(next);
            before = Some(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    out
}

/// Bytes of the run of such characters that `text` begins with.
fn run(text: &str, of: impl Fn(char) -> bool) -> usize {
    text.find(|c: char| !of(c)).unwrap_or(text.len())
}

fn hex(text: &str) -> usize {
    run(text, |c| c.is_ascii_hexdigit())
}

fn digits(text: &str) -> usize {
    run(text, |c| c.is_ascii_digit())
}

fn has_digit(text: &str) -> bool {
    text.contains(|c: char| c.is_ascii_digit())
}

/// `8-4-4-4-12`, or without the hyphens (which [`id`] takes).
fn uuid(text: &str) -> Option<usize> {
    let mut at = 0;
    for (part, length) in UUID.into_iter().enumerate() {
        if part > 0 {
            text[at..].strip_prefix('-')?;
            at += 1;
        }
        (hex(&text[at..]) == length).then_some(())?;
        at += length;
    }
    Some(at)
}

/// `2026-03-01`, with `T12:30:00.250Z`, ` 12:30`, `T12:30:00+02:00` behind it or not.
fn instant(text: &str) -> Option<usize> {
    let mut at = fixed(text, &[4, 2, 2], '-')?;
    if let Some(time) = text[at..].strip_prefix(['T', ' '])
        && let Some(mut taken) = fixed(time, &[2, 2, 2], ':').or_else(|| fixed(time, &[2, 2], ':'))
    {
        if let Some(fraction) = time[taken..].strip_prefix('.') {
            taken += 1 + digits(fraction);
        }
        let zone = &time[taken..];
        taken += match zone.chars().next() {
            Some('Z') => 1,
            Some('+' | '-') => fixed(&zone[1..], &[2, 2], ':').map_or(0, |length| length + 1),
            _ => 0,
        };
        at += 1 + taken;
    }
    Some(at)
}

/// Numbers of these lengths with `between` in between.
fn fixed(text: &str, lengths: &[usize], between: char) -> Option<usize> {
    let mut at = 0;
    for (part, length) in lengths.iter().enumerate() {
        if part > 0 {
            text[at..].strip_prefix(between)?;
            at += between.len_utf8();
        }
        (digits(&text[at..]) == *length).then_some(())?;
        at += length;
    }
    Some(at)
}

/// `0xdeadbeef`, `3fa94c01`, `TRK1A1FDA8E6AE7`.
fn id(text: &str) -> Option<usize> {
    if let Some(behind) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        let length = hex(behind);
        return (length > 0).then_some(length + 2);
    }
    let word = run(text, |c| c.is_ascii_alphanumeric());
    let is_hex = word >= HEX && hex(text) == word;
    ((is_hex || word >= ID) && has_digit(&text[..word])).then_some(word)
}

/// `-5`, `12`, `0.25`, `1,000`, `127.0.0.1`; the digits of `prod_001` and of `30s`.
fn number(text: &str, fresh: bool) -> Option<usize> {
    let sign = usize::from(fresh && text.starts_with('-'));
    let mut at = sign + digits(&text[sign..]);
    if at == sign {
        return None;
    }
    while let Some(behind) = text[at..].strip_prefix(['.', ',']) {
        match digits(behind) {
            0 => break,
            more => at += 1 + more,
        }
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_letter_to_letter_is_folded_and_words_are_kept() {
        for (text, wanted) in [
            ("", ""),
            ("connection refused", "connection refused"),
            ("saga 0195b1f0-7c3a-7000-8000-000000000001 is over", "saga # is over"),
            ("0195B1F0-7C3A-7000-8000-000000000001/reserve-stock", "#/reserve-stock"),
            ("auth_01a1fda8e69d731e84cf34af0581ac09 is void", "auth_# is void"),
            ("tracking TRK1A1FDA8E6AE700AA35988D983D6C56A", "tracking #"),
            ("at 0x7ffd3c2a10 and 0XAB", "at # and #"),
            ("commit 3fa94c01", "commit #"),
            ("defaced facade", "defaced facade"),
            ("prod_001, prod_24: 3 wanted, 0 free", "prod_#, prod_#: # wanted, # free"),
            ("within 3.5s, not -5", "within #s, not #"),
            ("1,000 of 12", "# of #"),
            ("127.0.0.1:5432 refused", "#:# refused"),
            ("line 1 column 12", "line # column #"),
            ("since 2026-03-01T12:30:00.250Z.", "since #."),
            ("since 2026-03-01T12:30:00Z.", "since #."),
            ("since 2026-03-01 12:30:00+02:00", "since #"),
            ("on 2026-03-01, at noon", "on #, at noon"),
            ("reserve-stock failed", "reserve-stock failed"),
            ("utf8, ipv4 and sha256", "utf#, ipv# and sha#"),
            ("Größe 5 µs", "Größe # µs"),
            ("ends in 7", "ends in #"),
            ("12", "#"),
        ] {
            assert_eq!(folded(text), wanted, "{text}");
        }
    }

    #[test]
    fn letters_of_one_kind_share_a_fingerprint_and_others_do_not() {
        let of = |error: &str| of("payment", "payment.capture", "attempts-spent", error);
        let one = of("gateway 10.0.0.1:8010 refused auth_01a1fda8e69d731e84cf34af0581ac09");
        assert_eq!(one, of("gateway 10.0.0.22:80 refused auth_01a1fda8e69d731e84cf34af0581ffff"));
        assert_ne!(one, of("gateway 10.0.0.1:8010 timed out"));
        for (participant, kind, reason) in [
            ("order", "payment.capture", "attempts-spent"),
            ("payment", "payment.void", "attempts-spent"),
            ("payment", "payment.capture", "fault"),
        ] {
            let other = super::of(participant, kind, reason, "e");
            assert_ne!(other, of("e"));
        }
    }

    #[test]
    fn a_fingerprint_stays_what_it_was() {
        // Stored for good: another way to fold wants another namespace, and the rows made anew.
        let known = of("payment", "payment.capture", "fault", "no answer within 3s");
        assert_eq!(known.to_string(), "54124c5d-5013-5046-9094-95b476db86a1");
    }
}
