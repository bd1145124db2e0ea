//! Whatever a client sends: an answer that says what is wrong with it, and nothing stored.

use crate::on_stack;
use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Stack, With};
use uuid::Uuid;

const ORDERS: &str = "/api/v1/orders";
const SAGAS: &str = "/api/v1/sagas";
const JSON: &str = "application/json";

/// A wrong request: content type, body, the status it deserves and the field to be named.
type Wrong = (&'static str, Vec<u8>, u16, &'static str);

#[tokio::test]
async fn a_wrong_order_is_answered_with_what_is_wrong_and_leaves_nothing() -> Result<()> {
    on_stack(&[With::Only(&["simulator", "order", "orchestrator"])], async |stack| {
        for wrong in unreadable().into_iter().chain(wrong_orders()) {
            refused(stack, "order", ORDERS, &wrong).await?;
        }
        for key in ["", "two words", "schl\u{fc}ssel", &"k".repeat(256)] {
            let request = stack.request(Method::POST, "order", ORDERS)?.json(&good_order());
            let answer = request.header("Idempotency-Key", key).send().await?;
            problem(answer, 422, "Idempotency-Key").await.with_context(|| format!("{key:?}"))?;
        }
        stored_nothing(stack).await
    })
    .await
}

#[tokio::test]
async fn a_wrong_start_or_verb_is_answered_with_what_is_wrong_and_leaves_nothing() -> Result<()> {
    on_stack(&[With::Only(&["simulator", "order", "orchestrator"])], async |stack| {
        for wrong in unreadable().into_iter().chain(wrong_starts()) {
            refused(stack, "orchestrator", SAGAS, &wrong).await?;
        }
        let verb = |id: &str, verb: &str| format!("{SAGAS}/{id}/{verb}");
        let nobody = Uuid::new_v4().to_string();
        for name in ["cancel", "resume"] {
            let path = verb(&nobody, name);
            for wrong in unreadable().into_iter().chain(wrong_reasons()) {
                refused(stack, "orchestrator", &path, &wrong).await?;
            }
            let reasoned = |status| (JSON, json!({ "reason": "x" }).to_string().into(), status, "");
            refused(stack, "orchestrator", &path, &reasoned(404)).await?;
            refused(stack, "orchestrator", &verb("1-2-3", name), &reasoned(404)).await?;
        }
        stored_nothing(stack).await
    })
    .await
}

#[tokio::test]
async fn a_wrong_question_is_answered_with_what_is_wrong() -> Result<()> {
    on_stack(&[With::Only(&["simulator", "order", "orchestrator"])], async |stack| {
        let hex = |key: Value| {
            key.to_string().bytes().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        let far_off = |micros: i64| hex(json!([micros, Uuid::nil()]));
        let mut wrong = Vec::new();
        for (process, list) in [("order", ORDERS), ("orchestrator", SAGAS)] {
            for value in ["0", "201", "-1", "many", "1.5", ""] {
                wrong.push((process, format!("{list}?limit={value}"), 422, "limit"));
            }
            for value in ["", "zz", "5", "%00", &hex(json!("x")), &hex(json!({ "a": [1] }))] {
                wrong.push((process, format!("{list}?cursor={value}"), 422, "cursor"));
            }
            for id in ["x", "1-2-3", "%ff", "00000000-0000-0000-0000-00000000000g"] {
                wrong.push((process, format!("{list}/{id}"), 404, ""));
            }
            wrong.push((process, format!("{list}/{}", Uuid::new_v4()), 404, ""));
            wrong.push((process, "/api/v1/nothing".to_owned(), 404, ""));
        }
        for micros in [i64::MIN, i64::MAX, -346_000_000_000_000_000] {
            let cursor = far_off(micros);
            wrong.push(("orchestrator", format!("{SAGAS}?cursor={cursor}"), 422, "cursor"));
        }
        for (query, field) in [
            ("state=lost", "state"),
            ("parked=perhaps", "parked"),
            ("definition=%00", "definition"),
        ] {
            wrong.push(("orchestrator", format!("{SAGAS}?{query}"), 422, field));
        }
        for (query, field) in [("status=lost", "status"), ("customer_id=%00", "customer_id")] {
            wrong.push(("order", format!("{ORDERS}?{query}"), 422, field));
        }
        for (process, path, status, field) in &wrong {
            let answer = stack.request(Method::GET, process, path)?.send().await?;
            problem(answer, *status, field).await.with_context(|| format!("{process} {path}"))?;
        }
        for (process, list) in [("order", ORDERS), ("orchestrator", SAGAS)] {
            let answer = stack.request(Method::PUT, process, list)?.send().await?;
            problem(answer, 405, "").await.with_context(|| format!("PUT {process} {list}"))?;
        }
        Ok(())
    })
    .await
}

/// What is no JSON, or not called so, or too much of it.
fn unreadable() -> Vec<Wrong> {
    vec![
        (JSON, b"".to_vec(), 400, ""),
        (JSON, b"{".to_vec(), 400, ""),
        (JSON, b"{\"customer_id\": \"cust_123\",}".to_vec(), 400, ""),
        (JSON, b"{\"customer_id\": \"\xff\xfe\"}".to_vec(), 400, ""),
        (JSON, br#"{"customer_id": "\ud800"}"#.to_vec(), 400, ""),
        (JSON, [b"[".repeat(100_000), b"]".repeat(100_000)].concat(), 400, ""),
        (JSON, format!("\"{}\"", "x".repeat(300_000)).into(), 413, ""),
        (JSON, b"[]".to_vec(), 422, ""),
        (JSON, b"null".to_vec(), 422, ""),
        ("text/plain", good_order().to_string().into(), 415, ""),
        ("application/x-www-form-urlencoded", b"customer_id=cust_123".to_vec(), 415, ""),
    ]
}

fn good_order() -> Value {
    json!({
        "customer_id": "cust_123",
        "items": [{ "product_id": "prod_001", "quantity": 1 }],
    })
}

fn wrong_orders() -> impl Iterator<Item = Wrong> {
    let item =
        |product: Value, quantity: Value| json!([{ "product_id": product, "quantity": quantity }]);
    let mut wrong = vec![
        ("customer_id", json!(7), "customer_id"),
        ("customer_id", json!(null), "customer_id"),
        ("customer_id", json!(""), "customer_id"),
        ("customer_id", json!("a\u{0}b"), "customer_id"),
        ("customer_id", json!("x".repeat(65)), "customer_id"),
        ("customer_id", json!("x'; DROP TABLE orders; --"), "customer_id"),
        ("items", json!("prod_001"), "items"),
        ("items", json!([]), "items"),
        ("items", json!(vec![good_order()["items"][0].clone(); 51]), "items"),
        ("items", json!([{ "product_id": "prod_001" }]), "items[0].quantity"),
        ("items", json!([{ "quantity": 1 }]), "items[0].product_id"),
        ("items", item(json!("prod_999"), json!(1)), "items[0].product_id"),
        ("items", item(json!("\u{202e}prod_001"), json!(1)), "items[0].product_id"),
        ("payment_method", json!("Card!"), "payment_method"),
        ("payment_method", json!(["card_ok"]), "payment_method"),
        ("ship_to", json!({ "country": "Germany" }), "ship_to.country"),
        ("ship_to", json!({ "country": 49 }), "ship_to.country"),
        ("ship_to", json!({}), "ship_to.country"),
        ("ship_to", json!({ "country": "DE", "city": "a\u{0}b" }), "ship_to.city"),
        ("ship_to", json!({ "country": "DE", "name": "x".repeat(201) }), "ship_to.name"),
        ("ship_to", json!({ "country": "DE", "planet": "Mars" }), "ship_to.planet"),
        ("coupon", json!("SAVE10"), "coupon"),
    ];
    let twice = json!([good_order()["items"][0], good_order()["items"][0]]);
    wrong.push(("items", twice, "items[1].product_id"));
    for quantity in
        [json!(0), json!(-1), json!(1_001), json!(1.5), json!("2"), json!(1e300), json!(u64::MAX)]
    {
        wrong.push(("items", item(json!("prod_001"), quantity), "items[0].quantity"));
    }
    let one = wrong.into_iter().map(|(member, value, field)| {
        let mut order = good_order();
        order[member] = value;
        (JSON, order.to_string().into(), 422, field)
    });
    let doubled = br#"{"customer_id": "a", "customer_id": "b", "items": []}"#.to_vec();
    let more = [
        (JSON, b"{}".to_vec(), 422, "customer_id"),
        (JSON, br#"{"customer_id": "a"}"#.to_vec(), 422, "items"),
        (JSON, doubled, 422, "customer_id"),
    ];
    one.chain(more)
}

fn wrong_starts() -> impl Iterator<Item = Wrong> {
    let input = || {
        json!({
            "customer_id": "cust_123",
            "lines": [{ "product_id": "prod_001", "quantity": 1 }],
            "total": { "amount": 1290, "currency": "EUR" },
            "payment_method": "card_ok",
            "ship_to": { "country": "DE" },
        })
    };
    let mut wrong_type = input();
    wrong_type["lines"] = json!(7);
    let place = "place-order";
    [
        (json!({}), "definition"),
        (json!({ "definition": 7, "input": {} }), "definition"),
        (json!({ "definition": "place-bets", "input": {} }), "definition"),
        (json!({ "definition": "place\u{0}order", "input": {} }), "definition"),
        (json!({ "definition": place }), "input"),
        (json!({ "definition": place, "input": {} }), "input"),
        (json!({ "definition": place, "input": wrong_type }), "input"),
        (json!({ "definition": place, "input": input(), "saga_id": "1-2-3" }), "saga_id"),
        (json!({ "definition": place, "input": input(), "priority": 9 }), "priority"),
    ]
    .into_iter()
    .map(|(body, field)| (JSON, body.to_string().into(), 422, field))
}

fn wrong_reasons() -> impl Iterator<Item = Wrong> {
    [
        (json!({}), "reason"),
        (json!({ "reason": null }), "reason"),
        (json!({ "reason": "  " }), "reason"),
        (json!({ "reason": "a\u{0}b" }), "reason"),
        (json!({ "reason": "x".repeat(501) }), "reason"),
        (json!({ "reason": "x", "force": true }), "force"),
    ]
    .into_iter()
    .map(|(body, field)| (JSON, body.to_string().into(), 422, field))
}

async fn refused(stack: &Stack, process: &str, path: &str, wrong: &Wrong) -> Result<()> {
    let (kind, body, status, field) = wrong;
    let request = stack.request(Method::POST, process, path)?.header("content-type", *kind);
    let answer = request.body(body.clone()).send().await?;
    let shown = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
    problem(answer, *status, field).await.with_context(|| format!("POST {process} {path} {shown}"))
}

/// The answer is a problem document of this status, and names the field if there is one.
async fn problem(answer: reqwest::Response, status: u16, field: &str) -> Result<()> {
    let found = answer.status().as_u16();
    let kind = answer.headers().get("content-type").cloned();
    let text = answer.text().await?;
    ensure!(found == status, "answered with {found}, not {status}: {text}");
    ensure!(kind.is_some_and(|kind| kind == "application/problem+json"), "no problem: {text}");
    let problem: Value = serde_json::from_str(&text)?;
    ensure!(problem["status"] == status && problem["title"].is_string(), "{text}");
    let named = problem["errors"].as_array().into_iter().flatten();
    let named: Vec<_> = named.filter_map(|error| error["field"].as_str()).collect();
    ensure!(field.is_empty() || named.contains(&field), "{field} is not named: {text}");
    Ok(())
}

async fn stored_nothing(stack: &Stack) -> Result<()> {
    for (service, tables) in [
        ("order", &["orders", "idempotency", "outbox", "inbox"][..]),
        ("orchestrator", &["saga", "saga_event"]),
    ] {
        let pool = stack.database(service)?.pool();
        for table in tables {
            let count = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
            let rows: i64 = sqlx::query_scalar(count).fetch_one(pool).await?;
            ensure!(rows == 0, "{rows} rows in {service}.{table}");
        }
    }
    Ok(())
}
