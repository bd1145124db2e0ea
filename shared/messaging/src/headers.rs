use lapin::types::{AMQPValue, FieldTable, ShortString};
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;
use std::collections::BTreeMap;

/// A header as it is written: text or a whole number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderValue {
    Text(String),
    Int(i64),
}

impl From<&str> for HeaderValue {
    fn from(text: &str) -> Self {
        HeaderValue::Text(text.to_owned())
    }
}

impl From<String> for HeaderValue {
    fn from(text: String) -> Self {
        HeaderValue::Text(text)
    }
}

impl From<i64> for HeaderValue {
    fn from(number: i64) -> Self {
        HeaderValue::Int(number)
    }
}

/// The headers of a message, in the broker's own form. As JSON they are one object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Headers(FieldTable);

impl Headers {
    /// `None` when it is missing or no text.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.0.inner().get(name)? {
            AMQPValue::LongString(text) => std::str::from_utf8(text.as_bytes()).ok(),
            AMQPValue::ShortString(text) => Some(text.as_str()),
            _ => None,
        }
    }

    /// `None` when it is missing or no whole number.
    pub fn int(&self, name: &str) -> Option<i64> {
        as_int(self.0.inner().get(name)?)
    }

    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub fn set(&mut self, name: &str, value: impl Into<HeaderValue>) {
        let value = match value.into() {
            HeaderValue::Text(text) => AMQPValue::LongString(text.into()),
            HeaderValue::Int(number) => AMQPValue::LongLongInt(number),
        };
        self.0.insert(short(name), value);
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<HeaderValue>) -> Self {
        self.set(name, value);
        self
    }

    /// Keeps the headers whose name `keep` accepts.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        let kept: BTreeMap<_, _> = std::mem::take(&mut self.0)
            .into_iter()
            .filter(|(name, _)| keep(name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        self.0 = kept.into();
    }

    /// Those that the broker has set on `other`, which says nothing of its own about them.
    pub(crate) fn take_broker_marks(&mut self, other: &Headers) {
        for (name, value) in &other.0 {
            if name.as_str().starts_with("x-") {
                self.0.insert(name.clone(), value.clone());
            }
        }
    }

    pub fn to_json(&self) -> Value {
        Value::Object(
            self.0.into_iter().map(|(name, value)| (name.to_string(), to_json(value))).collect(),
        )
    }

    pub(crate) fn table(&self) -> &FieldTable {
        &self.0
    }
}

impl From<FieldTable> for Headers {
    fn from(table: FieldTable) -> Self {
        Headers(table)
    }
}

impl Serialize for Headers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in &self.0 {
            map.serialize_entry(name.as_str(), &to_json(value))?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let members = BTreeMap::<String, Value>::deserialize(deserializer)?;
        let table: BTreeMap<_, _> =
            members.into_iter().map(|(name, value)| (short(&name), from_json(value))).collect();
        Ok(Headers(table.into()))
    }
}

/// The first 255 bytes, which is all that AMQP has room for; the library would panic on more.
pub(crate) fn short(text: &str) -> ShortString {
    ShortString::try_new(cut(text, 255)).unwrap_or_default()
}

/// The first `limit` bytes, without half a character at the end.
pub(crate) fn cut(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    let mut end = limit;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn as_int(value: &AMQPValue) -> Option<i64> {
    match value {
        AMQPValue::ShortShortInt(number) => Some(i64::from(*number)),
        AMQPValue::ShortShortUInt(number) => Some(i64::from(*number)),
        AMQPValue::ShortInt(number) => Some(i64::from(*number)),
        AMQPValue::ShortUInt(number) => Some(i64::from(*number)),
        AMQPValue::LongInt(number) => Some(i64::from(*number)),
        AMQPValue::LongUInt(number) => Some(i64::from(*number)),
        AMQPValue::LongLongInt(number) => Some(*number),
        _ => None,
    }
}

fn to_json(value: &AMQPValue) -> Value {
    match value {
        AMQPValue::Boolean(yes) => Value::from(*yes),
        AMQPValue::Float(number) => Value::from(*number),
        AMQPValue::Double(number) => Value::from(*number),
        AMQPValue::DecimalValue(decimal) => {
            Value::from(f64::from(decimal.value) / 10f64.powi(i32::from(decimal.scale)))
        }
        AMQPValue::ShortString(text) => Value::from(text.as_str()),
        AMQPValue::LongString(text) => Value::from(String::from_utf8_lossy(text.as_bytes())),
        AMQPValue::ByteArray(bytes) => Value::from(String::from_utf8_lossy(bytes.as_slice())),
        AMQPValue::Timestamp(seconds) => Value::from(*seconds),
        AMQPValue::FieldArray(items) => items.as_slice().iter().map(to_json).collect(),
        AMQPValue::FieldTable(table) => Headers(table.clone()).to_json(),
        AMQPValue::Void => Value::Null,
        number => as_int(number).map_or(Value::Null, Value::from),
    }
}

fn from_json(value: Value) -> AMQPValue {
    match value {
        Value::Null => AMQPValue::Void,
        Value::Bool(yes) => AMQPValue::Boolean(yes),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => AMQPValue::LongLongInt(whole),
            None => AMQPValue::Double(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => AMQPValue::LongString(text.into()),
        Value::Array(items) => {
            AMQPValue::FieldArray(items.into_iter().map(from_json).collect::<Vec<_>>().into())
        }
        Value::Object(members) => {
            let table: BTreeMap<_, _> =
                members.into_iter().map(|(name, value)| (short(&name), from_json(value))).collect();
            AMQPValue::FieldTable(table.into())
        }
    }
}
