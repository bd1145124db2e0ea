//! What a body must be before anything looks into it.

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Bytes. Larger bodies are poison: RabbitMQ 4 refuses 16 MiB, and nothing here needs a tenth of one.
pub const BODY_LIMIT: usize = 1024 * 1024;

/// UTF-8, JSON, nested at most 128 deep, numbers in range, no half surrogates, no NUL. The last
/// four pass many a JSON parser and then fail inside the database, on every redelivery anew.
pub(crate) fn check(body: &[u8]) -> Result<(), serde_json::Error> {
    serde_json::from_slice::<Sound>(body).map(|_| ())
}

/// JSON that was looked at, not kept.
struct Sound;

impl<'de> Deserialize<'de> for Sound {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Look)
    }
}

struct Look;

impl<'de> Visitor<'de> for Look {
    type Value = Sound;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Sound, E> {
        if text.contains('\0') {
            return Err(E::custom("a string holds a NUL character"));
        }
        Ok(Sound)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Sound, A::Error> {
        while items.next_element::<Sound>()?.is_some() {}
        Ok(Sound)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Sound, A::Error> {
        while members.next_entry::<Sound, Sound>()?.is_some() {}
        Ok(Sound)
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn plain_json_of_any_kind_is_sound() {
        for body in ["null", "{}", r#"{"a":[1,-2,3.5,true,"x \u00e9 \\u0000"]}"#, "\"\"", "7"] {
            check(body.as_bytes()).unwrap();
        }
    }

    #[test]
    fn what_a_database_would_choke_on_is_not() {
        let deep = "[".repeat(200) + &"]".repeat(200);
        let bodies: [&[u8]; 9] = [
            b"",
            b"{",
            b"{} {}",
            b"\"\xff\"",
            br#""\u0000""#,
            br#"{"\u0000": 1}"#,
            br#""\ud800""#,
            b"1e999",
            deep.as_bytes(),
        ];
        for body in bodies {
            assert!(check(body).is_err(), "{}", String::from_utf8_lossy(body));
        }
    }
}
