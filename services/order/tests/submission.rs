//! The rules of a submission, as a table.
#![allow(clippy::unwrap_used)]

use contracts::{Currency, Money};
use order::submission::{PriceList, Submission};
use serde_json::{Value, json};

fn prices() -> PriceList {
    let money = |amount, code| Money::new(amount, Currency::new(code).unwrap());
    [
        ("tea", money(790, "EUR")),
        ("mug", money(1290, "EUR")),
        ("diamond", money(i64::MAX / 2, "EUR")),
        ("import", money(500, "USD")),
    ]
    .into_iter()
    .map(|(id, price)| (id.to_owned(), (format!("A {id}"), price)))
    .collect()
}

fn good() -> Value {
    json!({ "customer_id": "cust_123", "items": [{ "product_id": "tea", "quantity": 2 }] })
}

fn good_but(field: &str, value: Value) -> Value {
    let mut body = good();
    body[field] = value;
    body
}

fn item(product: &str, quantity: i64) -> Value {
    json!({ "product_id": product, "quantity": quantity })
}

fn broken_fields(body: Value) -> Vec<String> {
    let submission: Submission = serde_json::from_value(body).unwrap();
    match submission.check(&prices()) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.into_iter().map(|error| error.field).collect(),
    }
}

#[test]
fn each_broken_rule_names_its_field() {
    let table: &[(Value, &[&str])] = &[
        (good(), &[]),
        (good_but("customer_id", json!("")), &["customer_id"]),
        (good_but("customer_id", json!("c".repeat(64))), &[]),
        (good_but("customer_id", json!("c".repeat(65))), &["customer_id"]),
        (good_but("customer_id", json!("cust 1")), &["customer_id"]),
        (good_but("customer_id", json!("cust\u{0}")), &["customer_id"]),
        (good_but("customer_id", json!("'; DROP TABLE orders; --")), &["customer_id"]),
        (good_but("items", json!([])), &["items"]),
        (good_but("items", json!(vec![item("tea", 1); 51])), &["items"]),
        (good_but("items", json!([item("tea", 0)])), &["items[0].quantity"]),
        (good_but("items", json!([item("tea", -1)])), &["items[0].quantity"]),
        (good_but("items", json!([item("tea", 1000)])), &[]),
        (good_but("items", json!([item("tea", 1001)])), &["items[0].quantity"]),
        (good_but("items", json!([item("tea", i64::MAX)])), &["items[0].quantity"]),
        (good_but("items", json!([item("tea", 1), item("gold", 1)])), &["items[1].product_id"]),
        (good_but("items", json!([item("tea", 1), item("tea", 2)])), &["items[1].product_id"]),
        (good_but("items", json!([item("a b", 1)])), &["items[0].product_id"]),
        (good_but("items", json!([item("diamond", 2)])), &[]),
        (good_but("items", json!([item("diamond", 3)])), &["items"]),
        (good_but("items", json!([item("diamond", 2), item("tea", 2)])), &["items"]),
        (good_but("items", json!([item("tea", 1), item("import", 1)])), &["items"]),
        (good_but("payment_method", json!("card_declined")), &[]),
        (good_but("payment_method", json!("")), &["payment_method"]),
        (good_but("payment_method", json!("Card")), &["payment_method"]),
        (good_but("payment_method", json!("x".repeat(65))), &["payment_method"]),
        (good_but("ship_to", json!({ "country": "XX" })), &[]),
        (good_but("ship_to", json!({ "country": "de" })), &["ship_to.country"]),
        (good_but("ship_to", json!({ "country": "DEU" })), &["ship_to.country"]),
        (good_but("ship_to", json!({ "country": "DE", "name": "é".repeat(200) })), &[]),
        (
            good_but("ship_to", json!({ "country": "DE", "name": "n".repeat(201) })),
            &["ship_to.name"],
        ),
        (good_but("ship_to", json!({ "country": "DE", "city": "a\nb" })), &["ship_to.city"]),
        (good_but("ship_to", json!({ "country": "DE", "street": "\u{0}" })), &["ship_to.street"]),
        (
            good_but("ship_to", json!({ "country": "DE", "postal_code": "\u{7f}" })),
            &["ship_to.postal_code"],
        ),
    ];
    for (body, fields) in table {
        assert_eq!(&broken_fields(body.clone()), fields, "{body}");
    }
}

#[test]
fn all_broken_rules_are_reported_at_once() {
    let body = json!({
        "customer_id": "no spaces",
        "items": [item("tea", 0), item("tea", 1), item("gold", 1001)],
        "payment_method": "!",
        "ship_to": { "country": "?", "name": "\u{7}" },
    });
    assert_eq!(
        broken_fields(body),
        [
            "customer_id",
            "payment_method",
            "ship_to.country",
            "ship_to.name",
            "items[0].quantity",
            "items[1].product_id",
            "items[2].quantity",
            "items[2].product_id",
        ]
    );
}

#[test]
fn the_total_is_the_sum_of_prices_times_quantities() {
    let body = good_but("items", json!([item("tea", 2), item("mug", 3)]));
    let submission: Submission = serde_json::from_value(body).unwrap();
    let order = submission.check(&prices()).unwrap();
    assert_eq!(order.total, Money::new(2 * 790 + 3 * 1290, Currency::new("EUR").unwrap()));
    assert_eq!(order.payment_method, "card_ok");
    assert_eq!(order.ship_to.country, "DE");
}
