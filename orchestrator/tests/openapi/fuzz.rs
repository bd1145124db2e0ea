//! Requests made of the document: some as it wants them, some with one thing wrong.

use crate::{
    document::{Document, Operation, fits},
    draw::Draw,
    wrong::{NO_JSON, broken, nested, unfit},
};
use anyhow::{Context, Result, ensure};
use reqwest::{Method, Url};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};
use testkit::{PATIENCE, Random, Stack, With, eventually};

/// Of each kind, for each operation.
const TIMES: usize = 12;
const JSON: &str = "application/json";

/// A request, and what is expected of its answer.
struct Case {
    /// Segments.
    path: String,
    query: Vec<(String, String)>,
    body: Option<(&'static str, String)>,
    /// What is wrong with it, if anything is.
    wrong: Option<&'static str>,
    /// One of these; if empty, any that the document names.
    statuses: &'static [u16],
    /// The field that is to be named.
    field: Option<String>,
}

#[tokio::test]
async fn whatever_is_asked_the_answer_is_one_that_the_document_names() -> Result<()> {
    let options = [
        With::Only(&["orchestrator", "order", "simulator"]),
        With::Env("orchestrator", "SAGA_STEP_TIMEOUT", "2"),
        With::Env("orchestrator", "SAGA_STEP_ATTEMPTS", "1"),
    ];
    let stack = Stack::start(&options).await?;
    let known = things(&stack).await?;
    let seed = match std::env::var("FUZZ_SEED") {
        Ok(seed) => seed.parse().context("FUZZ_SEED is a number")?,
        Err(_) => Random::seed_of_now(),
    };
    eprintln!("FUZZ_SEED={seed}");
    let mut random = Random::new(seed);
    let document = Document(stack.get("orchestrator", "/docs/openapi.json").await?);
    let mut seen: BTreeMap<String, BTreeMap<u16, usize>> = BTreeMap::new();
    let mut failures = Vec::new();
    for operation in document.operations()? {
        for number in 0..2 * TIMES {
            let mut draw = Draw { random: &mut random, known: &known };
            let case = match number % 2 {
                0 => right(&mut draw, &operation),
                _ => wrong(&mut draw, &operation),
            };
            let Some(case) = case else { continue };
            let (status, verdict) = ask(&stack, &document, &operation, &case).await?;
            *seen.entry(operation.id.to_owned()).or_default().entry(status).or_default() += 1;
            if let Err(why) = verdict {
                let Case { path, query, body, wrong, .. } = &case;
                let method = &operation.method;
                failures.push(format!(
                    "{method} {path} {query:?} {body:?} (wrong: {wrong:?})\n    {why}"
                ));
            }
        }
    }
    for (operation, statuses) in &seen {
        eprintln!("{operation}: {statuses:?}");
    }
    ensure!(
        failures.is_empty(),
        "FUZZ_SEED={seed}: {} of these:\n{}",
        failures.len(),
        failures[..failures.len().min(20)].join("\n")
    );
    let of =
        |least: u16| seen.values().filter(|all| all.keys().any(|it| it / 100 == least)).count();
    ensure!(of(2) >= 12, "hardly anything was done: {seen:?}");
    Ok(())
}

/// Ids of sagas in several states and of dead letters, all of which exist.
async fn things(stack: &Stack) -> Result<Vec<String>> {
    let mut known = Vec::new();
    // Nobody reserves stock: it is given up after a while, and then its undoing is parked.
    for _ in 0..4 {
        known.push(stack.order_paid_with("card_ok", 1).await?.to_string());
    }
    for id in &known {
        stack.wait_until(id.parse()?, "the saga to park", |it| !it["parked"].is_null()).await?;
    }
    known.push(stack.order_paid_with("card_ok", 1).await?.to_string());
    for number in 0..3 {
        let poison = format!("poison {number}");
        stack.vhost().publish("saga.replies", "orchestrator.replies", &poison).await?;
    }
    eventually(PATIENCE, "the poison to be collected", async || {
        let letters = stack.list("orchestrator", "/api/v1/dead-letters").await?;
        ensure!(letters.len() == 3, "{} letters", letters.len());
        let id = |letter: &Value| letter["dead_letter_id"].as_str().map(str::to_owned);
        known.extend(letters.iter().filter_map(id));
        Ok(())
    })
    .await?;
    Ok(known)
}

/// As the document wants it. What a schema cannot say may still be wrong with it.
fn right(draw: &mut Draw, operation: &Operation) -> Option<Case> {
    let mut query = Vec::new();
    for (name, schema) in &operation.query {
        // A cursor is what a list gave; there is none yet.
        if *name != "cursor" && draw.random.percent(25) {
            query.extend(word(&draw.value(schema)).map(|text| ((*name).to_owned(), text)));
        }
    }
    let body = operation.body.as_ref().map(|schema| {
        let body = draw.value(schema);
        assert!(fits(schema, &body), "{body} for {schema}");
        (JSON, body.to_string())
    });
    let path = path(draw, operation);
    Some(Case { path, query, body, wrong: None, statuses: &[], field: None })
}

/// The same with one thing wrong.
fn wrong(draw: &mut Draw, operation: &Operation) -> Option<Case> {
    let case = right(draw, operation)?;
    let body = operation.body.as_ref().zip(case.body.as_ref());
    let shown = match (draw.random.below(6), body) {
        (0, Some(_)) => Case {
            body: Some((JSON, draw.one_of(&NO_JSON)?.to_string())),
            wrong: Some("no JSON"),
            statuses: &[400],
            ..case
        },
        (1, Some((_, (_, text)))) => {
            let text = text.clone();
            let body = Some(("text/plain", text));
            Case { body, wrong: Some("not called JSON"), statuses: &[415], ..case }
        }
        (2, Some(_)) => {
            let text = if draw.random.percent(50) {
                format!("{{\"reason\": \"{}\"}}", "z".repeat(300_000))
            } else {
                nested()
            };
            let statuses = if text.starts_with('[') { &[400] } else { &[413] };
            Case { body: Some((JSON, text)), wrong: Some("too much"), statuses, ..case }
        }
        (_, Some((schema, (_, text)))) => {
            let right: Value = serde_json::from_str(text).ok()?;
            let made = broken(draw, schema, &right)?;
            assert!(!fits(schema, &made.body), "{} for {schema}", made.body);
            let body = Some((JSON, made.body.to_string()));
            let field = Some(made.field);
            Case { body, wrong: Some("a field"), statuses: &[422], field, ..case }
        }
        (0, None) if !operation.path_parameters.is_empty() => {
            let path = operation.path.to_owned();
            let nowhere = path.split('/').map(|segment| match segment.starts_with('{') {
                true => "%ff",
                false => segment,
            });
            let path = nowhere.collect::<Vec<_>>().join("/");
            Case { path, wrong: Some("an id"), statuses: &[404], ..case }
        }
        (1, None) if !operation.query.is_empty() => {
            let query = vec![("surplus".to_owned(), "1".to_owned())];
            let field = Some("surplus".to_owned());
            Case { query, wrong: Some("a parameter too many"), statuses: &[422], field, ..case }
        }
        (_, None) => {
            let (name, schema) = draw.one_of(&operation.query)?;
            let value = match *name {
                "cursor" => json!("zz"),
                _ => unfit(draw, schema)?.0,
            };
            // A text takes any word.
            let fits = schema["type"] == "string" || schema["type"] == json!(["string", "null"]);
            let plain = fits && *name != "cursor" && schema["format"].is_null();
            let value = if plain && value.is_object() { json!("a\0b") } else { value };
            let query = vec![((*name).to_owned(), word(&value)?)];
            let field = Some((*name).to_owned());
            Case { query, wrong: Some("a parameter"), statuses: &[422], field, ..case }
        }
    };
    // The path comes before the body: what does not exist is not asked about.
    Some(shown)
}

/// As it stands in a query.
fn word(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        other => other.to_string(),
    })
}

fn path(draw: &mut Draw, operation: &Operation) -> String {
    let mut path = operation.path.to_owned();
    for (name, schema) in &operation.path_parameters {
        let value = match *name {
            "id" => draw.id(),
            // A text that is one of few, which no schema says.
            "name" if draw.random.percent(70) => "place-order".to_owned(),
            _ => word(&draw.value(schema)).unwrap_or_default(),
        };
        let mut url = Url::parse("http://x/").unwrap();
        url.path_segments_mut().unwrap().clear().push(&value);
        path = path.replace(&format!("{{{name}}}"), &url.path()[1..]);
    }
    path
}

async fn ask(
    stack: &Stack,
    document: &Document,
    operation: &Operation<'_>,
    case: &Case,
) -> Result<(u16, Result<(), String>)> {
    let method = Method::from_bytes(operation.method.as_bytes())?;
    let mut path = case.path.clone();
    if !case.query.is_empty() {
        let mut url = Url::parse("http://x/")?;
        url.query_pairs_mut().extend_pairs(&case.query);
        path += &format!("?{}", url.query().unwrap_or_default());
    }
    let mut request = stack.request(method, "orchestrator", &path)?.timeout(PATIENCE);
    if let Some((kind, body)) = &case.body {
        request = request.header("content-type", *kind).body(body.clone());
    }
    let answer = request.send().await.with_context(|| format!("{}: no answer", case.path))?;
    let status = answer.status().as_u16();
    let kind = answer.headers().get("content-type");
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
    // A stream does not end by itself.
    let endless = kind.starts_with("text/event-stream");
    let limit = if endless { Duration::from_millis(1) } else { PATIENCE };
    let body = match tokio::time::timeout(limit, answer.bytes()).await {
        Ok(body) => body?.to_vec(),
        Err(_) => Vec::new(),
    };
    Ok((status, judge(document, operation, case, status, &kind, &body)))
}

fn judge(
    document: &Document,
    operation: &Operation,
    case: &Case,
    status: u16,
    kind: &str,
    body: &[u8],
) -> Result<(), String> {
    document.judge(operation, status, kind, body)?;
    let said = String::from_utf8_lossy(body);
    // Nothing is away; only the number of listeners is limited.
    if status >= 500 && !operation.path.ends_with("/events") {
        return Err(format!("answered {status}: {said}"));
    }
    if !(case.statuses.is_empty() || case.statuses.contains(&status)) {
        return Err(format!("answered {status}, not {:?}: {said}", case.statuses));
    }
    if status != 422 {
        return Ok(());
    }
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    let fields: Vec<_> = problem["errors"].as_array().into_iter().flatten().collect();
    let fields: Vec<_> = fields.iter().filter_map(|error| error["field"].as_str()).collect();
    let named = |wanted: &String| fields.contains(&wanted.as_str());
    match &case.field {
        Some(wanted) if !named(wanted) => Err(format!("{wanted} is not named: {said}")),
        None if fields.iter().all(|field| field.is_empty()) => {
            Err(format!("no field is named: {said}"))
        }
        _ => Ok(()),
    }
}
