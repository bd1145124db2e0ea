//! What the gateway and the carrier hold, and every decision they take. Pure: a decision is an
//! answer and the record as it stands afterwards; applying that record again changes nothing.

use crate::answer::Answer;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;

/// Money set aside, and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Authorisation {
    /// The idempotency key that asked for it.
    pub key: String,
    /// The gateway's id; empty when it was voided before it was asked for.
    pub authorisation: String,
    /// Minor units; 0 when it was voided before it was asked for.
    pub amount: i64,
    /// ISO 4217; `XXX` (no currency) when it was voided before it was asked for.
    pub currency: String,
    pub method: String,
    pub status: AuthorisationStatus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuthorisationStatus {
    Authorised,
    Captured,
    Voided,
    Refunded,
}

impl AuthorisationStatus {
    fn word(self) -> &'static str {
        match self {
            AuthorisationStatus::Authorised => "authorised",
            AuthorisationStatus::Captured => "captured",
            AuthorisationStatus::Voided => "voided",
            AuthorisationStatus::Refunded => "refunded",
        }
    }
}

/// A parcel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shipment {
    /// The idempotency key that asked for it.
    pub key: String,
    /// The carrier's tracking number; empty when it was cancelled before it was asked for.
    pub tracking: String,
    pub country: String,
    pub status: ShipmentStatus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShipmentStatus {
    Booked,
    Cancelled,
}

/// A webhook call, and how often it came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reception {
    /// The idempotency key; empty when the caller sent none.
    pub key: String,
    pub body: serde_json::Value,
    pub times: u32,
}

/// A record as it stands after a decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Change {
    Authorisation(Authorisation),
    Shipment(Shipment),
    Received(Reception),
}

pub(crate) struct Decision {
    pub(crate) answer: Answer,
    pub(crate) change: Option<Change>,
}

impl Decision {
    fn no(status: u16, reason: &str) -> Self {
        Decision { answer: Answer::no(status, reason), change: None }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Authorise {
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) method: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ship {
    pub(crate) country: String,
}

#[derive(Clone, Debug, Default)]
pub struct Ledger {
    authorisations: BTreeMap<String, Authorisation>,
    shipments: BTreeMap<String, Shipment>,
    receptions: Vec<Reception>,
}

impl Ledger {
    /// In order of their keys.
    pub fn authorisations(&self) -> impl Iterator<Item = &Authorisation> {
        self.authorisations.values()
    }

    /// In order of their keys.
    pub fn shipments(&self) -> impl Iterator<Item = &Shipment> {
        self.shipments.values()
    }

    /// In order of their first arrival.
    pub fn receptions(&self) -> impl Iterator<Item = &Reception> {
        self.receptions.iter()
    }

    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Authorisation(record) => {
                self.authorisations.insert(record.key.clone(), record);
            }
            Change::Shipment(record) => {
                self.shipments.insert(record.key.clone(), record);
            }
            Change::Received(record) => {
                match self.reception(&record.key) {
                    Some(place) => self.receptions[place] = record,
                    None => self.receptions.push(record),
                };
            }
        }
    }

    pub(crate) fn authorise(&self, key: &str, wanted: &Authorise, id: String) -> Decision {
        if let Some(known) = self.authorisations.get(key) {
            return Decision::no(409, known.status.word());
        }
        let method = wanted.method.as_str();
        if wanted.amount <= 0 {
            return Decision::no(402, "invalid-amount");
        }
        match method {
            "card_ok" | "card_capture_fails" | "card_timeout" | "card_flaky" => {}
            "card_declined" => return Decision::no(402, "card-declined"),
            _ => return Decision::no(402, "unknown-method"),
        }
        let record = Authorisation {
            key: key.to_owned(),
            authorisation: id,
            amount: wanted.amount,
            currency: wanted.currency.clone(),
            method: method.to_owned(),
            status: AuthorisationStatus::Authorised,
        };
        Decision {
            answer: Answer::created(
                json!({ "authorisation": record.authorisation, "status": record.status }),
            ),
            change: Some(Change::Authorisation(record)),
        }
    }

    pub(crate) fn capture(&self, authorisation_key: &str) -> Decision {
        let Some(known) = self.authorisations.get(authorisation_key) else {
            return Decision::no(404, "unknown-authorisation");
        };
        match known.status {
            AuthorisationStatus::Authorised if known.method == "card_capture_fails" => {
                Decision::no(402, "capture-refused")
            }
            AuthorisationStatus::Authorised => moved(known, AuthorisationStatus::Captured),
            other => Decision::no(409, other.word()),
        }
    }

    pub(crate) fn void(&self, authorisation_key: &str) -> Decision {
        let never_seen = || Authorisation {
            key: authorisation_key.to_owned(),
            authorisation: String::new(),
            amount: 0,
            currency: "XXX".to_owned(),
            method: String::new(),
            status: AuthorisationStatus::Voided,
        };
        let known = self.authorisations.get(authorisation_key).cloned().unwrap_or_else(never_seen);
        match known.status {
            AuthorisationStatus::Authorised | AuthorisationStatus::Voided => {
                moved(&known, AuthorisationStatus::Voided)
            }
            other => Decision::no(409, other.word()),
        }
    }

    pub(crate) fn refund(&self, authorisation_key: &str) -> Decision {
        let Some(known) = self.authorisations.get(authorisation_key) else {
            return Decision::no(404, "unknown-authorisation");
        };
        match known.status {
            AuthorisationStatus::Captured => moved(known, AuthorisationStatus::Refunded),
            other => Decision::no(409, other.word()),
        }
    }

    pub(crate) fn ship(&self, key: &str, wanted: &Ship, id: String) -> Decision {
        if let Some(known) = self.shipments.get(key) {
            return match known.status {
                ShipmentStatus::Booked => Decision::no(409, "booked"),
                ShipmentStatus::Cancelled => Decision::no(409, "cancelled"),
            };
        }
        if wanted.country == "XX" {
            return Decision::no(422, "undeliverable");
        }
        let record = Shipment {
            key: key.to_owned(),
            tracking: id,
            country: wanted.country.clone(),
            status: ShipmentStatus::Booked,
        };
        Decision {
            answer: Answer::created(
                json!({ "tracking": record.tracking, "status": record.status }),
            ),
            change: Some(Change::Shipment(record)),
        }
    }

    pub(crate) fn cancel(&self, shipment_key: &str) -> Decision {
        let known = self.shipments.get(shipment_key);
        let record = Shipment {
            key: shipment_key.to_owned(),
            tracking: known.map(|known| known.tracking.clone()).unwrap_or_default(),
            country: known.map(|known| known.country.clone()).unwrap_or_default(),
            status: ShipmentStatus::Cancelled,
        };
        Decision {
            answer: Answer::ok(json!({ "shipment_key": record.key, "status": record.status })),
            change: Some(Change::Shipment(record)),
        }
    }

    /// Calls without a key cannot be told apart and count as different ones.
    pub(crate) fn receive(&self, key: &str, body: serde_json::Value) -> Decision {
        let before = self.reception(key).map_or(0, |place| self.receptions[place].times);
        let record = Reception { key: key.to_owned(), body, times: before + 1 };
        Decision {
            answer: Answer::ok(json!({ "status": "received" })),
            change: Some(Change::Received(record)),
        }
    }

    fn reception(&self, key: &str) -> Option<usize> {
        self.receptions.iter().rposition(|known| !key.is_empty() && known.key == key)
    }
}

fn moved(known: &Authorisation, status: AuthorisationStatus) -> Decision {
    let record = Authorisation { status, ..known.clone() };
    Decision {
        answer: Answer::ok(json!({ "authorisation_key": record.key, "status": status })),
        change: Some(Change::Authorisation(record)),
    }
}
