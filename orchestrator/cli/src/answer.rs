//! Reading fields of an answer. What a server of another version leaves out is empty, not an error:
//! whoever is on call needs the rest.

use crate::terminal::plain;
use serde_json::Value;

pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub fn word(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

/// Anything as one line that a terminal can show.
pub fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => plain(text),
        other => plain(&other.to_string()),
    }
}

pub fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

/// Words of a list, separated by commas.
pub fn words(value: &Value) -> String {
    list(value).iter().map(text).collect::<Vec<_>>().join(", ")
}

/// As `--json` prints it.
pub fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}
