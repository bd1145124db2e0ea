//! The document, taken apart: operations, and schemas that stand alone.

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

/// The methods that a path may have.
const METHODS: [&str; 4] = ["get", "put", "post", "delete"];

pub struct Document(pub Value);

pub struct Operation<'a> {
    pub id: &'a str,
    /// In capitals.
    pub method: String,
    /// With its parameters in braces.
    pub path: &'a str,
    pub path_parameters: Vec<(&'a str, Value)>,
    pub query: Vec<(&'a str, Value)>,
    pub body: Option<Value>,
    responses: &'a Map<String, Value>,
}

impl Document {
    pub fn operations(&self) -> Result<Vec<Operation<'_>>> {
        let mut found = Vec::new();
        for (path, item) in self.0["paths"].as_object().context("no paths")? {
            for method in METHODS {
                if let Some(operation) = item.get(method) {
                    let found_one = self.operation(path, method, operation);
                    found.push(found_one.with_context(|| format!("{method} {path}"))?);
                }
            }
        }
        Ok(found)
    }

    fn operation<'a>(
        &self,
        path: &'a str,
        method: &str,
        operation: &'a Value,
    ) -> Result<Operation<'a>> {
        let (mut path_parameters, mut query) = (Vec::new(), Vec::new());
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().context("a parameter without a name")?;
            let schema = self.alone(&parameter["schema"]);
            match parameter["in"].as_str() {
                Some("path") => path_parameters.push((name, schema)),
                Some("query") => query.push((name, schema)),
                other => anyhow::bail!("{name} is in {other:?}"),
            }
        }
        let body = operation.get("requestBody").map(|body| &body["content"]["application/json"]);
        Ok(Operation {
            id: operation["operationId"].as_str().context("no operationId")?,
            method: method.to_uppercase(),
            path,
            path_parameters,
            query,
            body: body.map(|body| self.alone(&body["schema"])),
            responses: operation["responses"].as_object().context("no responses")?,
        })
    }

    /// The schema with what it refers to in its place.
    pub fn alone(&self, schema: &Value) -> Value {
        match schema {
            Value::Object(members) => match members.get("$ref").and_then(Value::as_str) {
                Some(path) => {
                    let pointer = path.trim_start_matches('#');
                    let found = self.0.pointer(pointer);
                    self.alone(found.unwrap_or_else(|| panic!("{path} leads nowhere")))
                }
                None => members.iter().map(|(name, it)| (name.clone(), self.alone(it))).collect(),
            },
            Value::Array(all) => all.iter().map(|it| self.alone(it)).collect(),
            other => other.clone(),
        }
    }

    /// What is wrong with an answer, if anything is.
    pub fn judge(
        &self,
        operation: &Operation,
        status: u16,
        kind: &str,
        body: &[u8],
    ) -> Result<(), String> {
        let said = String::from_utf8_lossy(body);
        let told = |what: String| Err(format!("{what}; the answer was {status} {kind}: {said}"));
        let Some(response) = operation.responses.get(&status.to_string()) else {
            return told("the document does not name this status".to_owned());
        };
        let essence = kind.split(';').next().unwrap_or_default().trim();
        let Some(content) = response["content"].get(essence) else {
            return told(format!("the document has {}", response["content"]));
        };
        if status >= 400 && essence != "application/problem+json" {
            return told("an error is a problem document".to_owned());
        }
        if essence == "text/event-stream" {
            return Ok(());
        }
        let Ok(value) = serde_json::from_slice::<Value>(body) else {
            return told("the body is no JSON".to_owned());
        };
        let schema = closed(self.alone(&content["schema"]), true);
        let validator = validator(&schema);
        let errors: Vec<_> = validator
            .iter_errors(&value)
            .map(|error| format!("{} {error}", error.instance_path()))
            .collect();
        match errors.is_empty() {
            true => Ok(()),
            false => told(errors.join("; ")),
        }
    }
}

/// Formats count, too.
fn validator(schema: &Value) -> jsonschema::Validator {
    jsonschema::options().should_validate_formats(true).build(schema).unwrap()
}

/// Whether the value is as the schema wants it.
pub fn fits(schema: &Value, value: &Value) -> bool {
    validator(schema).is_valid(value)
}

/// With no room for members that it does not name.
fn closed(schema: Value, whole: bool) -> Value {
    let Value::Object(mut members) = schema else { return schema };
    for (name, of_parts) in [("allOf", false), ("oneOf", true), ("anyOf", true)] {
        if let Some(Value::Array(all)) = members.get_mut(name) {
            let parts = std::mem::take(all);
            *all = parts.into_iter().map(|part| closed(part, of_parts)).collect();
        }
    }
    for name in ["items", "additionalProperties"] {
        if let Some(inner) = members.remove(name) {
            members.insert(name.to_owned(), closed(inner, true));
        }
    }
    if let Some(Value::Object(properties)) = members.get_mut("properties") {
        let inner = std::mem::take(properties);
        *properties = inner.into_iter().map(|(name, it)| (name, closed(it, true))).collect();
    }
    let names = members.contains_key("properties") || members.contains_key("allOf");
    if whole && names && !members.contains_key("additionalProperties") {
        members.insert("unevaluatedProperties".to_owned(), json!(false));
    }
    Value::Object(members)
}
