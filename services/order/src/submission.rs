//! What a customer submits, and the rules it must keep. Nothing here touches the database: the
//! price list is an argument, so that every rule can be tested as a table.

use contracts::{Money, shipping::Address};
use runtime::http::FieldError;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};

use crate::order::Item;

const MAX_ITEMS: usize = 50;
const MAX_QUANTITY: i64 = 1000;
const MAX_TEXT: usize = 200;

/// The body of `POST /api/v1/orders`, as read. Its own JSON is the canonical form: fields in one
/// order, defaults filled in.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Submission {
    pub customer_id: String,
    pub items: Vec<Wanted>,
    #[serde(default = "card")]
    pub payment_method: String,
    #[serde(default = "germany")]
    pub ship_to: Address,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    pub product_id: String,
    /// Wider than any valid quantity, so that one out of range is reported along with the rest.
    pub quantity: i64,
}

fn card() -> String {
    "card_ok".to_owned()
}

fn germany() -> Address {
    Address { name: None, street: None, city: None, postal_code: None, country: "DE".to_owned() }
}

/// Product id → name and price, of the products that an order asks for.
pub type PriceList = HashMap<String, (String, Money)>;

/// A submission that keeps every rule, priced.
#[derive(Debug)]
pub struct Accepted {
    pub customer_id: String,
    pub items: Vec<Item>,
    pub total: Money,
    pub payment_method: String,
    pub ship_to: Address,
}

impl Submission {
    /// The products to look up: only well-formed ids, and no more than an order may have.
    pub fn product_ids(&self) -> Vec<String> {
        self.items
            .iter()
            .take(MAX_ITEMS)
            .map(|item| &item.product_id)
            .filter(|id| is_id(id))
            .cloned()
            .collect()
    }

    /// Every rule at once: an error for each that is broken, or the priced order.
    pub fn check(self, prices: &PriceList) -> Result<Accepted, Vec<FieldError>> {
        let mut errors = Errors(Vec::new());
        errors.unless(is_id(&self.customer_id), "customer_id", ID_RULE);
        errors.unless(
            is_method(&self.payment_method),
            "payment_method",
            "must be 1 to 64 characters of a-z, 0-9 and _",
        );
        check_address(&self.ship_to, &mut errors);
        let priced = price(&self.items, prices, &mut errors);
        match priced {
            Some((items, total)) if errors.0.is_empty() => Ok(Accepted {
                customer_id: self.customer_id,
                items,
                total,
                payment_method: self.payment_method,
                ship_to: self.ship_to,
            }),
            _ => Err(errors.0),
        }
    }
}

/// The items with their prices, and the total. `None` when anything was found wrong with them.
fn price(wanted: &[Wanted], prices: &PriceList, errors: &mut Errors) -> Option<(Vec<Item>, Money)> {
    if wanted.is_empty() || wanted.len() > MAX_ITEMS {
        errors.add("items", format!("must have 1 to {MAX_ITEMS} items, has {}", wanted.len()));
        return None;
    }
    let before = errors.0.len();
    let mut seen = HashSet::new();
    let mut items = Vec::with_capacity(wanted.len());
    for (index, item) in wanted.iter().enumerate() {
        let product_field = format!("items[{index}].product_id");
        let quantity = i32::try_from(item.quantity)
            .ok()
            .filter(|_| (1..=MAX_QUANTITY).contains(&item.quantity));
        if quantity.is_none() {
            let message = format!("must be 1 to {MAX_QUANTITY}, is {}", item.quantity);
            errors.add(format!("items[{index}].quantity"), message);
        }
        if !is_id(&item.product_id) {
            errors.add(product_field, ID_RULE);
        } else if !seen.insert(&item.product_id) {
            errors.add(product_field, "is in the order already; raise the quantity there");
        } else if let Some((name, price)) = prices.get(&item.product_id) {
            items.push(Item {
                product_id: item.product_id.clone(),
                name: name.clone(),
                quantity: quantity.unwrap_or(0),
                price: price.clone(),
            });
        } else {
            errors.add(product_field, "no such product");
        }
    }
    if errors.0.len() > before {
        return None;
    }
    match total(&items) {
        Some(total) => Some((items, total)),
        None => {
            errors.add("items", "the total is too large, or the items differ in currency");
            None
        }
    }
}

/// `None` on overflow, on mixed currencies, and for no items at all.
fn total(items: &[Item]) -> Option<Money> {
    items
        .iter()
        .map(|item| item.price.checked_mul(item.quantity.into()))
        .reduce(|sum, line| sum?.checked_add(&line?))
        .flatten()
}

fn check_address(address: &Address, errors: &mut Errors) {
    let country = &address.country;
    errors.unless(
        country.len() == 2 && country.bytes().all(|letter| letter.is_ascii_uppercase()),
        "ship_to.country",
        "must be a two-letter ISO 3166 code in capitals",
    );
    let texts = [
        ("ship_to.name", &address.name),
        ("ship_to.street", &address.street),
        ("ship_to.city", &address.city),
        ("ship_to.postal_code", &address.postal_code),
    ];
    for (field, text) in texts {
        let Some(text) = text else { continue };
        errors.unless(
            text.chars().count() <= MAX_TEXT && !text.chars().any(char::is_control),
            field,
            "must be at most 200 characters, none of them a control character",
        );
    }
}

const ID_RULE: &str = "must be 1 to 64 characters of A-Z, a-z, 0-9, _ and -";

/// The form of customer and product ids.
pub fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

fn is_method(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

struct Errors(Vec<FieldError>);

impl Errors {
    fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(FieldError::new(field, message));
    }

    fn unless(&mut self, kept: bool, field: &str, rule: &str) {
        if !kept {
            self.add(field, rule);
        }
    }
}
