//! `sagactl orders`: the shop's side of a saga.

use crate::{
    answer::{list, number, text, word},
    everywhere::{Everywhere, Exit},
    moment::relative,
    table::{Column, Table},
    terminal::{Paint, say, width},
    watch::watch,
};
use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use orchestrator::duration;
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

#[derive(Subcommand)]
pub enum Command {
    /// Submit an order.
    Submit(Submit),
    /// An order's saga as it happens, to its end.
    Watch(Watch),
    /// One order.
    Show {
        #[arg(value_name = "ORDER")]
        order: Uuid,
    },
}

#[derive(Args)]
pub struct Submit {
    /// A product and how many of it; several times for several products.
    #[arg(long = "item", value_name = "PRODUCT[:NUMBER]", value_parser = item)]
    #[arg(default_value = "prod_001:1")]
    items: Vec<Item>,
    /// Who orders.
    #[arg(long, value_name = "ID", default_value = "cust_123")]
    customer: String,
    /// How it is paid; the simulator knows card_ok, card_declined, card_capture_fails and others.
    #[arg(long, value_name = "METHOD", default_value = "card_ok")]
    method: String,
    /// Where it goes; nobody delivers to XX.
    #[arg(long, value_name = "CODE", default_value = "DE")]
    country: String,
    /// The same key and the same order again is the same order, not another one.
    #[arg(long, value_name = "TEXT")]
    key: Option<String>,
    /// Watch its saga to the end.
    #[arg(long)]
    watch: bool,
    /// With --watch: give up after so long (90s, 10m).
    #[arg(long, value_name = "DURATION", requires = "watch", value_parser = duration::parse)]
    within: Option<Duration>,
}

#[derive(Args)]
pub struct Watch {
    #[arg(value_name = "ORDER")]
    order: Uuid,
    /// Give up after so long (90s, 10m); without it, watch to the end.
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    within: Option<Duration>,
}

#[derive(Clone, Debug)]
struct Item {
    product: String,
    quantity: u32,
}

fn item(text: &str) -> Result<Item, String> {
    let (product, quantity) = text.split_once(':').unwrap_or((text, "1"));
    let quantity = quantity.parse().map_err(|_| "an item looks like prod_001 or prod_001:2")?;
    Ok(Item { product: product.to_owned(), quantity })
}

/// How long an order may take to become a saga, while the broker is slow or away.
const TO_BEGIN: Duration = Duration::from_secs(60);

impl Command {
    pub async fn run(self, at: &Everywhere) -> Result<Exit> {
        match self {
            Command::Submit(order) => submit(at, order).await,
            Command::Watch(Watch { order, within }) => watch(at, order, within, TO_BEGIN).await,
            Command::Show { order } => {
                let order = order.to_string();
                let order = at.orders()?.get(&["orders", &order], &Vec::new()).await?;
                at.tell(&order, shown)?;
                Ok(Exit::Done)
            }
        }
    }
}

async fn submit(at: &Everywhere, order: Submit) -> Result<Exit> {
    let items = order.items.iter();
    let items = items.map(|one| json!({ "product_id": one.product, "quantity": one.quantity }));
    let body = json!({
        "customer_id": order.customer,
        "items": items.collect::<Vec<_>>(),
        "payment_method": order.method,
        "ship_to": { "country": order.country },
    });
    // A key even if none is given: the network may make the client ask twice.
    let key = order.key.unwrap_or_else(|| Uuid::new_v4().to_string());
    let taken = at.orders()?.post_once(&["orders"], &body, &key).await?;
    if !order.watch {
        at.tell(&taken, |taken| format!("order {}\n", text(&taken["order_id"])))?;
        return Ok(Exit::Done);
    }
    let id: Uuid = word(&taken["saga_id"]).parse().context("the answer names no saga")?;
    let exit = watch(at, id, order.within, TO_BEGIN).await?;
    if !at.json {
        let id = text(&taken["order_id"]);
        let order = at.orders()?.get(&["orders", &id], &Vec::new()).await?;
        let status = Paint::for_stdout().word(word(&order["status"]));
        say(&format!("order {id} is {status}\n"))?;
    }
    Ok(exit)
}

fn shown(order: &Value) -> String {
    let paint = Paint::for_stdout();
    let status = paint.word(word(&order["status"]));
    let mut shown = format!("order {}  {status}\n", text(&order["order_id"]));
    for (name, value) in [
        ("why", text(&order["reason"])),
        ("customer", text(&order["customer_id"])),
        ("paid with", text(&order["payment_method"])),
        ("goes to", address(&order["ship_to"])),
        ("tracking", text(&order["tracking"])),
        ("total", money(&order["total"])),
        ("ordered", relative(&order["created_at"])),
    ] {
        if !value.is_empty() {
            shown += &format!("  {name:<10} {value}\n");
        }
    }
    let mut table = Table::new(&[
        Column::word("PRODUCT", 0),
        Column::text("NAME", 1),
        Column::number("NUMBER", 0),
        Column::number("EACH", 0),
    ]);
    for item in list(&order["items"]) {
        table.row([
            text(&item["product_id"]).into(),
            text(&item["name"]).into(),
            number(&item["quantity"]).to_string().into(),
            money(&item["price"]).into(),
        ]);
    }
    shown + "\n" + &table.fit(width(), paint)
}

fn address(to: &Value) -> String {
    let parts = ["name", "street", "postal_code", "city", "country"];
    let parts = parts.into_iter().map(|part| text(&to[part])).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join(", ")
}

/// From minor units: `25.80 EUR`.
fn money(money: &Value) -> String {
    let Some(amount) = money["amount"].as_i64() else { return String::new() };
    let sign = if amount < 0 { "-" } else { "" };
    let amount = amount.unsigned_abs();
    format!("{sign}{}.{:02} {}", amount / 100, amount % 100, text(&money["currency"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_shown_in_units() {
        for (amount, text) in [(2580, "25.80 EUR"), (5, "0.05 EUR"), (-1290, "-12.90 EUR")] {
            assert_eq!(money(&json!({ "amount": amount, "currency": "EUR" })), text);
        }
    }

    #[test]
    fn an_item_is_a_product_and_a_number() {
        assert_eq!(item("prod_001").unwrap().quantity, 1);
        assert_eq!(item("prod_001:3").unwrap().quantity, 3);
        item("prod_001:many").unwrap_err();
    }
}
