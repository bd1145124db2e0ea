//! One thing wrong with a request that was right.

use crate::draw::Draw;
use serde_json::{Value, json};

/// A body that is not as its schema wants it, and the field that an answer must name.
pub struct Wrong {
    pub body: Value,
    pub field: String,
}

/// Breaks `body`, which fits `schema`, in one place; `None` where there is nothing to break.
pub fn broken(draw: &mut Draw, schema: &Value, body: &Value) -> Option<Wrong> {
    let properties = schema["properties"].as_object()?;
    let required: Vec<_> = schema["required"].as_array().into_iter().flatten().collect();
    let required: Vec<&str> = required.into_iter().filter_map(Value::as_str).collect();
    let mut body = body.clone();
    let members = body.as_object_mut()?;
    match draw.random.below(4) {
        0 if !required.is_empty() => {
            let field = (*draw.one_of(&required)?).to_owned();
            members.remove(&field);
            Some(Wrong { body, field })
        }
        1 if schema["additionalProperties"] == false => {
            members.insert("surplus".to_owned(), json!(1));
            Some(Wrong { body, field: "surplus".to_owned() })
        }
        _ => {
            let names: Vec<_> = properties.keys().collect();
            let name = (*draw.one_of(&names)?).clone();
            let (value, below) = unfit(draw, &properties[&name])?;
            members.insert(name.clone(), value);
            Some(Wrong { body, field: name + &below })
        }
    }
}

/// A value that does not fit, and where in it that is.
pub fn unfit(draw: &mut Draw, schema: &Value) -> Option<(Value, String)> {
    let here = String::new();
    // Of an optional object, the object.
    let parts = schema["oneOf"].as_array().or(schema["anyOf"].as_array());
    if let Some(part) = parts.and_then(|all| all.iter().find(|part| part["type"] != "null")) {
        return unfit(draw, part);
    }
    if schema["enum"].is_array() {
        return Some((json!("no-such-word"), here));
    }
    let is = |kind: &str| {
        schema["type"] == kind
            || schema["type"].as_array().is_some_and(|kinds| kinds.contains(&json!(kind)))
    };
    if schema["properties"].is_object() && draw.random.percent(70) {
        let inner = draw.value(schema);
        let Wrong { body, field } = broken(draw, schema, &inner)?;
        return Some((body, format!(".{field}")));
    }
    let limits = |name: &str| schema[name].as_u64().and_then(|it| usize::try_from(it).ok());
    if is("string") {
        return Some(match draw.random.below(3) {
            0 if schema["format"] == "uuid" => (json!("1-2-3"), here),
            1 if limits("minLength").is_some_and(|least| least > 0) => (json!(""), here),
            2 if limits("maxLength").is_some() => {
                (json!("y".repeat(limits("maxLength")? + 1)), here)
            }
            _ => (json!({ "no": "text" }), here),
        });
    }
    if is("integer") {
        return Some(match draw.random.below(3) {
            0 if schema["maximum"].is_i64() => (json!(schema["maximum"].as_i64()? + 1), here),
            1 if schema["minimum"].is_i64() => (json!(schema["minimum"].as_i64()? - 1), here),
            _ => (json!("many"), here),
        });
    }
    if is("boolean") || is("number") || is("array") || schema["properties"].is_object() {
        return Some((json!("maybe"), here));
    }
    None
}

/// Bodies that are no JSON, or none that anybody can keep.
pub const NO_JSON: [&str; 6] =
    ["", "{", "{\"reason\": \"\\ud800\"}", "\u{feff}{}", "{\"reason\": 1e999}", "nul"];

/// Nested beyond reason.
pub fn nested() -> String {
    "[".repeat(5_000) + &"]".repeat(5_000)
}
