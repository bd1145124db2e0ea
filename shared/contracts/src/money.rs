use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// An amount in the minor units of its currency: 1299 EUR is € 12.99. Never a float.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// Minor units (cents for EUR).
    pub amount: i64,
    /// ISO 4217 code.
    pub currency: Currency,
}

impl Money {
    pub fn new(amount: i64, currency: Currency) -> Self {
        Money { amount, currency }
    }

    /// `None` when the currencies differ or the sum overflows.
    pub fn checked_add(&self, other: &Money) -> Option<Money> {
        (self.currency == other.currency)
            .then(|| self.amount.checked_add(other.amount))
            .flatten()
            .map(|amount| Money::new(amount, self.currency.clone()))
    }

    /// `None` on overflow.
    pub fn checked_mul(&self, quantity: i64) -> Option<Money> {
        self.amount.checked_mul(quantity).map(|amount| Money::new(amount, self.currency.clone()))
    }
}

impl fmt::Display for Money {
    /// Minor units and code (`1299 EUR minor units`), as exponents differ between currencies.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} minor units", self.amount, self.currency)
    }
}

/// An ISO 4217 currency code: three capital letters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Currency(String);

impl Currency {
    /// `None` unless `code` is three ASCII capitals.
    pub fn new(code: &str) -> Option<Self> {
        (code.len() == 3 && code.bytes().all(|letter| letter.is_ascii_uppercase()))
            .then(|| Currency(code.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = String::deserialize(deserializer)?;
        Currency::new(&code)
            .ok_or_else(|| serde::de::Error::custom(format!("{code:?} is not an ISO 4217 code")))
    }
}
