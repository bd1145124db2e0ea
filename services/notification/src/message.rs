//! What a customer is told, and by which channels.

use contracts::{Money, notification::NotifyCustomer};
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    Email,
    Sms,
    Push,
}

impl Channel {
    pub fn as_str(self) -> &'static str {
        match self {
            Channel::Email => "email",
            Channel::Sms => "sms",
            Channel::Push => "push",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub channel: Channel,
    /// An e-mail address, a telephone number or a device's token.
    pub recipient: String,
    pub subject: String,
    pub body: String,
}

/// How a customer can be reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Customer {
    pub email: Option<String>,
    pub phone: Option<String>,
    pub device: Option<String>,
}

impl Customer {
    /// Somebody of whom only the id is known.
    pub fn stranger(customer_id: &str) -> Self {
        // An id may hold anything; a mailbox name may not.
        let mailbox: String = customer_id
            .chars()
            .take(64)
            .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' })
            .collect();
        Customer { email: Some(format!("{mailbox}@example.test")), ..Customer::default() }
    }
}

/// One message for each channel by which the customer can be reached.
pub fn messages(customer: Customer, command: &NotifyCustomer) -> Vec<Message> {
    let order = command.order;
    let total = price(&command.total);
    let subject = format!("Your order {order} is on its way");
    let tracked = match &command.tracking {
        Some(tracking) => format!(" Tracking number: {tracking}."),
        None => String::new(),
    };
    let long = format!(
        "Thank you for your order {order}.\n\nWe have charged {total}, and the parcel is on its \
         way.{tracked}\n"
    );
    let short = format!("Order {order}: {total} charged, parcel on its way.{tracked}");
    [
        (Channel::Email, customer.email, long),
        (Channel::Sms, customer.phone, short.clone()),
        (Channel::Push, customer.device, short),
    ]
    .into_iter()
    .filter_map(|(channel, recipient, body)| {
        Some(Message { channel, recipient: recipient?, subject: subject.clone(), body })
    })
    .collect()
}

/// `12.99 EUR`, `1299 JPY`.
fn price(money: &Money) -> String {
    let digits = match money.currency.as_str() {
        "CLP" | "ISK" | "JPY" | "KRW" | "PYG" | "UGX" | "VND" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    };
    let unit = 10_u64.pow(digits);
    let (whole, rest) = (money.amount.unsigned_abs() / unit, money.amount.unsigned_abs() % unit);
    let sign = if money.amount < 0 { "-" } else { "" };
    match digits {
        0 => format!("{sign}{whole} {}", money.currency),
        _ => format!("{sign}{whole}.{rest:0width$} {}", money.currency, width = digits as usize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::Currency;

    fn in_words(amount: i64, currency: &str) -> String {
        price(&Money::new(amount, Currency::new(currency).unwrap()))
    }

    #[test]
    fn a_price_has_as_many_decimals_as_its_currency() {
        assert_eq!(in_words(1299, "EUR"), "12.99 EUR");
        assert_eq!(in_words(5, "EUR"), "0.05 EUR");
        assert_eq!(in_words(-150, "USD"), "-1.50 USD");
        assert_eq!(in_words(1299, "JPY"), "1299 JPY");
        assert_eq!(in_words(1234, "KWD"), "1.234 KWD");
    }

    #[test]
    fn a_strange_customer_id_still_makes_a_mailbox() {
        let email = Customer::stranger("a b\r\nBcc: x@y").email.unwrap();
        assert_eq!(email, "a_b__Bcc__x_y@example.test");
    }
}
