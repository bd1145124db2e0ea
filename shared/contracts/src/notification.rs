//! Notification: telling the customer.

use crate::{Command, Money, Never, SagaId};
use serde::{Deserialize, Serialize};

/// Tell the customer that the order is on its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NotifyCustomer {
    pub order: SagaId,
    pub customer_id: String,
    pub total: Money,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking: Option<String>,
}

impl Command for NotifyCustomer {
    const TYPE: &'static str = "notification.notify-customer";
    type Reply = ();
    type Refusal = Never;
}
