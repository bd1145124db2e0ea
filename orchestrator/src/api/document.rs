//! The OpenAPI document: raw, and as a page that needs nothing from elsewhere.

use super::Desk;
use axum::{
    Json, Router,
    http::header,
    response::{Html, IntoResponse},
    routing::get,
};
use serde_json::Value;
use std::fmt::Write as _;
use utoipa::openapi::{Content, OpenApi, Ref, ResponseBuilder};

#[derive(utoipa::OpenApi)]
#[openapi(info(
    title = "Saga orchestrator",
    description = "Inspect sagas, and operate those that are stuck. Errors are problem documents (RFC 9457, application/problem+json); lists are {items, next}.",
    license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
))]
pub struct Document;

/// What any route that takes a body answers to one that it does not take.
const OF_BODIES: [(&str, &str); 4] = [
    ("400", "The body is no JSON."),
    ("413", "The body is larger than 256 KiB."),
    ("415", "The body is not called JSON."),
    ("422", "A field is not acceptable: which, and why."),
];
/// What any route may answer.
const OF_ALL: [(&str, &str); 1] = [("503", "Not now; `Retry-After` says when.")];

/// With the answers that are the same everywhere; what a route says itself stays.
pub fn completed(mut document: OpenApi) -> OpenApi {
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.post, &mut item.put, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            let of_bodies = operation.request_body.iter().flat_map(|_| OF_BODIES);
            for (status, description) in of_bodies.chain(OF_ALL) {
                let schema = Content::new(Some(Ref::from_schema_name("Problem")));
                let answer = ResponseBuilder::new()
                    .description(description)
                    .content("application/problem+json", schema);
                let answers = &mut operation.responses.responses;
                answers.entry(status.to_owned()).or_insert_with(|| answer.build().into());
            }
        }
    }
    document
}

/// `/docs` and `/docs/openapi.json`.
pub fn routes(document: &OpenApi) -> Router<Desk> {
    // Plain data: writing it as JSON cannot fail.
    let raw = serde_json::to_value(document).unwrap_or_default();
    let page = page(&raw);
    let policy = "default-src 'none'; style-src 'unsafe-inline'";
    Router::new().route("/docs/openapi.json", get(|| async move { Json(raw) })).route(
        "/docs",
        get(move || async move {
            ([(header::CONTENT_SECURITY_POLICY, policy)], Html(page)).into_response()
        }),
    )
}

const STYLE: &str = "
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code, pre { font: 0.9em/1.45 ui-monospace, monospace; }
pre { overflow-x: auto; padding: 0.6rem; background: color-mix(in srgb, currentColor 7%, transparent); }
section { border-top: 1px solid color-mix(in srgb, currentColor 20%, transparent); margin-top: 1.5rem; }
h2 .method { text-transform: uppercase; font-size: 0.7em; letter-spacing: 0.05em; opacity: 0.75; margin-right: 0.5em; }
h2 { font-size: 1.1rem; } table { border-collapse: collapse; }
td, th { text-align: left; padding: 0.15rem 1rem 0.15rem 0; vertical-align: top; }
";

/// The document for people: every route with its parameters, bodies and answers, then the types.
fn page(document: &Value) -> String {
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head><body>\
         <h1>{title}</h1><p>{about}</p><p><a href=\"/docs/openapi.json\">openapi.json</a></p><nav><ul>",
        title = text(&document["info"]["title"]),
        about = text(&document["info"]["description"]),
    );
    let routes: Vec<_> = members(&document["paths"])
        .flat_map(|(path, item)| members(item).map(move |(method, it)| (path, method, it)))
        .filter(|(_, _, operation)| operation["responses"].is_object())
        .collect();
    for (path, method, operation) in &routes {
        let id = text(&operation["operationId"]);
        let line = format!("<li><a href=\"#{id}\"><code>{method} {path}</code></a></li>");
        page.push_str(&line);
    }
    page.push_str("</ul></nav>");
    for (path, method, operation) in &routes {
        page.push_str(&route(path, method, operation));
    }
    page.push_str("<h1>Types</h1>");
    for (name, schema) in members(&document["components"]["schemas"]) {
        let schema = serde_json::to_string_pretty(schema).unwrap_or_default();
        let _ = write!(
            page,
            "<section id=\"type-{name}\"><h2>{name}</h2><pre>{}</pre></section>",
            escaped(&schema)
        );
    }
    page.push_str("</body></html>");
    page
}

fn route(path: &str, method: &str, operation: &Value) -> String {
    let mut part = format!(
        "<section id=\"{}\"><h2><span class=\"method\">{method}</span><code>{path}</code></h2><p>{} {}</p>",
        text(&operation["operationId"]),
        text(&operation["summary"]),
        text(&operation["description"]),
    );
    if let Some(parameters) = operation["parameters"].as_array() {
        part.push_str("<table>");
        for parameter in parameters {
            let _ = write!(
                part,
                "<tr><th><code>{}</code></th><td>{}</td><td>{}</td><td>{}</td></tr>",
                text(&parameter["name"]),
                text(&parameter["in"]),
                kind(&parameter["schema"]),
                text(&parameter["description"]),
            );
        }
        part.push_str("</table>");
    }
    for (media, body) in members(&operation["requestBody"]["content"]) {
        let _ = write!(part, "<p>Takes <code>{media}</code>: {}</p>", kind(&body["schema"]));
    }
    part.push_str("<table>");
    for (status, answer) in members(&operation["responses"]) {
        let kinds: Vec<_> =
            members(&answer["content"]).map(|(_, body)| kind(&body["schema"])).collect();
        let _ = write!(
            part,
            "<tr><th>{status}</th><td>{}</td><td>{}</td></tr>",
            kinds.join(", "),
            text(&answer["description"])
        );
    }
    part.push_str("</table></section>");
    part
}

/// A schema in a word, with a link to its type where it has one.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return format!("<a href=\"#type-{name}\">{name}</a>");
    }
    for choice in ["oneOf", "anyOf", "allOf"] {
        if let Some(choices) = schema[choice].as_array() {
            return choices.iter().map(kind).collect::<Vec<_>>().join(" or ");
        }
    }
    let name = match &schema["type"] {
        Value::Array(several) => {
            several.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or ")
        }
        one => text(one),
    };
    match &schema["enum"] {
        Value::Array(words) => words.iter().map(text).collect::<Vec<_>>().join(", "),
        _ => name,
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn text(value: &Value) -> String {
    escaped(value.as_str().unwrap_or_default())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
