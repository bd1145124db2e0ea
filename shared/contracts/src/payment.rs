//! Payment: money set aside (authorised), taken (captured), let go (voided) or given back (refunded).

use crate::{Command, Money, Never, SagaId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Set the amount aside on the customer's payment method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuthorisePayment {
    pub order: SagaId,
    pub amount: Money,
    /// A token of the gateway (`card_ok`), never a card number.
    pub payment_method: String,
}

impl Command for AuthorisePayment {
    const TYPE: &'static str = "payment.authorise";
    type Reply = PaymentAuthorised;
    type Refusal = PaymentDeclined;
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PaymentAuthorised {
    /// The gateway's id of the authorisation.
    pub authorisation: String,
}

/// The gateway's business no, to an authorisation or a capture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PaymentDeclined {
    /// The gateway's code: `card-declined`.
    pub reason: String,
}

impl fmt::Display for PaymentDeclined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "payment declined: {}", self.reason)
    }
}

/// Let go of the authorisation, whether or not the gateway ever saw it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VoidPayment {
    pub order: SagaId,
}

impl Command for VoidPayment {
    const TYPE: &'static str = "payment.void";
    type Reply = ();
    type Refusal = Never;
}

/// Take the authorised amount. The pivot of the order saga.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CapturePayment {
    pub order: SagaId,
}

impl Command for CapturePayment {
    const TYPE: &'static str = "payment.capture";
    type Reply = ();
    type Refusal = PaymentDeclined;
}

/// Give a captured amount back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RefundPayment {
    pub order: SagaId,
}

impl Command for RefundPayment {
    const TYPE: &'static str = "payment.refund";
    type Reply = ();
    type Refusal = Never;
}
