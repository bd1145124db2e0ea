//! The document, and what it says of a message.

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};
use std::{collections::BTreeSet, fs, path::Path};

pub struct Document(Value);

/// A message as it went over the wire.
#[derive(Debug)]
pub struct Sent {
    pub exchange: String,
    pub key: String,
    pub properties: Value,
    pub headers: Value,
    pub body: Value,
}

impl Document {
    pub fn read() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no root")?;
        let text = fs::read_to_string(root.join("docs/asyncapi.yaml"))?;
        Ok(Document(serde_norway::from_str(&text)?))
    }

    /// The names of all messages that it describes.
    pub fn messages(&self) -> BTreeSet<String> {
        let all = self.0["components"]["messages"].as_object().into_iter().flatten();
        all.map(|(name, _)| name.clone()).collect()
    }

    pub fn at(&self, pointer: &str) -> &Value {
        self.0.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// The one message of the document that this is; an error says what does not fit.
    pub fn recognise(&self, sent: &Sent) -> Result<String> {
        let all = || self.0["channels"].as_object().into_iter().flatten();
        let mut channels = all().filter(|(_, channel)| fits(channel, sent)).peekable();
        ensure!(channels.peek().is_some(), "no channel {} {}", sent.exchange, sent.key);
        let (mut found, mut why) = (Vec::new(), Vec::new());
        for (_, channel) in channels {
            for reference in channel["messages"].as_object().into_iter().flatten() {
                let name = reference.1["$ref"].as_str().and_then(|it| it.rsplit('/').next());
                let name = name.context("a message is referred to")?;
                let message = &self.0["components"]["messages"][name];
                let parts = [("x-amqp-properties", &sent.properties), ("headers", &sent.headers)];
                let wrong: Vec<_> = parts
                    .into_iter()
                    .flat_map(|(part, value)| self.wrong(&message[part], value))
                    .collect();
                match wrong.is_empty() {
                    true => found.push(name.to_owned()),
                    false => why.push(format!("{name}: {}", wrong.join(", "))),
                }
            }
        }
        ensure!(found.len() == 1, "is {found:?}: {sent:?}\n{}", why.join("\n"));
        let name = found.remove(0);
        let payload = &self.0["components"]["messages"][&name]["payload"];
        let wrong = self.wrong(payload, &sent.body);
        ensure!(wrong.is_empty(), "{name}: {}: {}", wrong.join(", "), sent.body);
        Ok(name)
    }

    /// The same of each message of a pack, as it would have been alone; of anything else, of itself.
    pub fn recognise_each(&self, sent: &Sent) -> Result<Vec<String>> {
        let name = self.recognise(sent)?;
        if name != "pack" {
            return Ok(vec![name]);
        }
        let lines = sent.body.as_array().into_iter().flatten();
        let mut names =
            lines.map(|line| self.recognise(&sent.line(line))).collect::<Result<Vec<_>>>()?;
        names.push(name);
        Ok(names)
    }

    /// What a message's payload must not be; empty if it is as it must.
    pub fn wrong_payload(&self, message: &str, body: &Value) -> Vec<String> {
        self.wrong(&self.0["components"]["messages"][message]["payload"], body)
    }

    /// Nothing that the schema does not name may be there, either.
    fn wrong(&self, schema: &Value, value: &Value) -> Vec<String> {
        let schema = closed(self.alone(schema), true);
        let validator = match jsonschema::options().should_validate_formats(true).build(&schema) {
            Ok(validator) => validator,
            Err(error) => return vec![format!("no schema: {error}")],
        };
        let errors = validator.iter_errors(value);
        errors.map(|error| format!("{} {error}", error.instance_path())).collect()
    }

    /// With what it refers to in its place.
    fn alone(&self, schema: &Value) -> Value {
        match schema {
            Value::Object(members) => match members.get("$ref").and_then(Value::as_str) {
                Some(path) => self.alone(self.at(path.trim_start_matches('#'))),
                None => members.iter().map(|(name, it)| (name.clone(), self.alone(it))).collect(),
            },
            Value::Array(all) => all.iter().map(|it| self.alone(it)).collect(),
            other => other.clone(),
        }
    }
}

impl Sent {
    /// A line of this pack.
    fn line(&self, line: &Value) -> Sent {
        let mut properties = json!({ "content_type": "application/json", "delivery_mode": 2 });
        for name in ["app_id", "timestamp", "user_id"] {
            properties[name] = self.properties[name].clone();
        }
        if let (Some(all), Some(own)) = (properties.as_object_mut(), line["properties"].as_object())
        {
            all.extend(own.clone());
            all.retain(|_, value| !value.is_null());
        }
        Sent {
            exchange: self.exchange.clone(),
            key: self.key.trim_end_matches(".packed").to_owned(),
            properties,
            headers: line["headers"].clone(),
            body: line["body"].clone(),
        }
    }
}

/// Whether the channel is where it went.
fn fits(channel: &Value, sent: &Sent) -> bool {
    let exchange = &channel["bindings"]["amqp"]["exchange"]["name"];
    let address = channel["address"].as_str().unwrap_or_default();
    let mut addresses = vec![address.to_owned()];
    for (name, parameter) in channel["parameters"].as_object().into_iter().flatten() {
        let values = parameter["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let values: Vec<_> = values.collect();
        let filled = |address: &String| {
            let fill = |value: &&str| address.replace(&format!("{{{name}}}"), value);
            values.iter().map(fill).collect::<Vec<_>>()
        };
        addresses = addresses.iter().flat_map(filled).collect();
    }
    *exchange == json!(sent.exchange) && addresses.contains(&sent.key)
}

/// With no room for members that it does not name.
fn closed(schema: Value, whole: bool) -> Value {
    let Value::Object(members) = schema else { return schema };
    let inner = |(name, value): (String, Value)| {
        let value = match (name.as_str(), value) {
            ("allOf", Value::Array(all)) => all.into_iter().map(|it| closed(it, false)).collect(),
            ("oneOf" | "anyOf", Value::Array(all)) => {
                all.into_iter().map(|it| closed(it, whole)).collect()
            }
            ("items", value) => closed(value, true),
            ("properties", Value::Object(all)) => {
                all.into_iter().map(|(name, it)| (name, closed(it, true))).collect()
            }
            (_, value) => value,
        };
        (name, value)
    };
    let mut members: Map<String, Value> = members.into_iter().map(inner).collect();
    let named = members.contains_key("properties") || members.contains_key("allOf");
    if whole && named && !members.contains_key("additionalProperties") {
        members.insert("unevaluatedProperties".to_owned(), json!(false));
    }
    Value::Object(members)
}
