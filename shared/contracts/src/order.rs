//! Order: the customer's order as a participant of its own saga, and the events that tell of it.

use crate::{Command, Event, Money, Never, SagaId, inventory::Line, shipping::Address};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What the place-order saga is started with; the body of its start message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlaceOrderInput {
    pub customer_id: String,
    pub lines: Vec<Line>,
    /// Fixed when the order was submitted, and carried by value from there on.
    pub total: Money,
    pub payment_method: String,
    pub ship_to: Address,
}

/// Take the order into work. Refused when the customer has withdrawn it before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenOrder {
    pub order: SagaId,
}

impl Command for OpenOrder {
    const TYPE: &'static str = "order.open";
    type Reply = ();
    type Refusal = OrderNotOpen;
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrderNotOpen {
    /// The order's status, or `unknown`.
    pub status: String,
}

impl fmt::Display for OrderNotOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the order is {}", self.status)
    }
}

/// Close the order as cancelled; undoes [`OpenOrder`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CancelOrder {
    pub order: SagaId,
    /// Why, for the customer: `authorise-payment refused: payment declined: card-declined`.
    pub reason: String,
    /// Why, for counting: the step that failed (`authorise-payment`), or `cancelled`.
    pub cause: String,
}

impl Command for CancelOrder {
    const TYPE: &'static str = "order.cancel";
    type Reply = ();
    type Refusal = Never;
}

/// Close the order as confirmed. Retriable: comes after the money is taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConfirmOrder {
    pub order: SagaId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking: Option<String>,
}

impl Command for ConfirmOrder {
    const TYPE: &'static str = "order.confirm";
    type Reply = ();
    type Refusal = Never;
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrderCreated {
    pub order: SagaId,
    pub customer_id: String,
    pub lines: Vec<Line>,
    pub total: Money,
}

impl Event for OrderCreated {
    const TYPE: &'static str = "order.created";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrderConfirmed {
    pub order: SagaId,
    pub customer_id: String,
    pub lines: Vec<Line>,
    pub total: Money,
}

impl Event for OrderConfirmed {
    const TYPE: &'static str = "order.confirmed";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrderCancelled {
    pub order: SagaId,
    pub customer_id: String,
    pub total: Money,
    /// For the customer.
    pub reason: String,
    /// For counting: the step that failed, or `cancelled`.
    pub cause: String,
}

impl Event for OrderCancelled {
    const TYPE: &'static str = "order.cancelled";
}
