//! Values that a schema allows, drawn at random.

use serde_json::{Map, Number, Value, json};
use testkit::Random;

/// What makes strings: letters, and what trips parsers, shells, SQL and HTML.
const PIECES: [&str; 16] = [
    "a", "order", "Z9", " ", "é", "日本", "💥", "'", "\"", "\\", "%00", "<b>", "; DROP", "/", "{}",
    "\u{200b}",
];

pub struct Draw<'a> {
    pub random: &'a mut Random,
    /// Ids that exist.
    pub known: &'a [String],
}

impl Draw<'_> {
    pub fn one_of<'v, T>(&mut self, all: &'v [T]) -> Option<&'v T> {
        all.get(self.random.below(all.len()))
    }

    /// Something that fits.
    pub fn value(&mut self, schema: &Value) -> Value {
        if let Some(words) = schema["enum"].as_array() {
            return self.one_of(words).cloned().unwrap_or_default();
        }
        for choice in ["oneOf", "anyOf"] {
            if let Some(all) = schema[choice].as_array() {
                let chosen = self.one_of(all).cloned().unwrap_or_default();
                return self.value(&chosen);
            }
        }
        if let Some(all) = schema["allOf"].as_array() {
            let mut whole = Map::new();
            for part in all {
                if let Value::Object(members) = self.value(part) {
                    whole.extend(members);
                }
            }
            return Value::Object(whole);
        }
        let kind = match &schema["type"] {
            Value::Array(kinds) => self.one_of(kinds).cloned().unwrap_or_default(),
            one => one.clone(),
        };
        match kind.as_str() {
            Some("string") => Value::String(self.text(schema)),
            Some("integer") => Value::Number(self.whole(schema)),
            Some("number") => json!(self.random.below(1_000) as f64 / 8.0),
            Some("boolean") => json!(self.random.percent(50)),
            Some("null") => Value::Null,
            Some("array") => {
                let length = self.random.below(4);
                (0..length).map(|_| self.value(&schema["items"])).collect()
            }
            Some("object") if schema["properties"].is_object() => self.object(schema),
            Some("object") => json!({ "free": self.anything(2) }),
            _ => self.anything(3),
        }
    }

    fn object(&mut self, schema: &Value) -> Value {
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        let mut members = Map::new();
        for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
            if required.contains(&json!(name)) || self.random.percent(40) {
                members.insert(name.clone(), self.value(inner));
            }
        }
        Value::Object(members)
    }

    fn text(&mut self, schema: &Value) -> String {
        match schema["format"].as_str() {
            Some("uuid") => return self.id(),
            Some("date-time") => return "2026-11-21T10:31:07.097Z".to_owned(),
            _ => {}
        }
        let bound = |name: &str| schema[name].as_u64().and_then(|it| usize::try_from(it).ok());
        let most = bound("maxLength").unwrap_or(40);
        let wanted = bound("minLength").unwrap_or(0).max(1) + self.random.below(12);
        let mut text = String::new();
        while text.chars().count() < wanted {
            text.push_str(PIECES[self.random.below(PIECES.len())]);
        }
        // Not of blanks alone: a schema cannot say that.
        format!("x{text}").chars().take(most).collect()
    }

    /// Of something that exists, mostly.
    pub fn id(&mut self) -> String {
        match self.random.percent(80) {
            true => self.one_of(self.known).cloned().unwrap_or_default(),
            false => {
                let low = self.random.below(usize::MAX) as u64;
                format!("00000000-0000-7000-8000-{:012x}", low % (1 << 48))
            }
        }
    }

    fn whole(&mut self, schema: &Value) -> Number {
        let least = schema["minimum"].as_i64().unwrap_or(0);
        let most = schema["maximum"].as_i64().unwrap_or(1_000).min(least + 100_000);
        let room = usize::try_from(most - least + 1).unwrap_or(1);
        (least + i64::try_from(self.random.below(room)).unwrap_or_default()).into()
    }

    /// Any JSON, `deep` levels at most.
    pub fn anything(&mut self, deep: usize) -> Value {
        match self.random.below(if deep == 0 { 5 } else { 7 }) {
            0 => Value::Null,
            1 => json!(self.random.percent(50)),
            2 => json!(self.random.below(usize::MAX)),
            3 => json!(-1.5e300),
            4 => json!(PIECES[self.random.below(PIECES.len())]),
            5 => (0..self.random.below(3)).map(|_| self.anything(deep - 1)).collect(),
            _ => json!({ "order": self.anything(deep - 1), "": self.anything(deep - 1) }),
        }
    }
}
