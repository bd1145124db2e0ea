//! An order, from the customer's click to the message that it is on its way.

use contracts::{
    SagaId,
    inventory::{ReleaseStock, ReserveStock},
    notification::NotifyCustomer,
    order::{CancelOrder, ConfirmOrder, OpenOrder, PlaceOrderInput},
    payment::{AuthorisePayment, CapturePayment, VoidPayment},
    shipping::{BookShipment, CancelShipment, ShipmentBooked},
};
use saga_core::{Definition, Saga, Version, Why, saga, step};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What the order's commands are made of.
#[derive(Debug, Serialize, Deserialize)]
pub struct PlaceOrder {
    order: SagaId,
    #[serde(flatten)]
    input: PlaceOrderInput,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tracking: Option<String>,
}

impl Saga for PlaceOrder {
    type Input = PlaceOrderInput;

    fn begin(order: SagaId, input: PlaceOrderInput) -> Self {
        PlaceOrder { order, input, tracking: None }
    }
}

/// The gateway and the carrier are other companies: they get more time than our own databases.
const OUTSIDE: Duration = Duration::from_secs(60);

impl PlaceOrder {
    pub fn definition() -> Definition<Self> {
        saga("place-order", Version(1))
            .compensatable(step("open-order", Self::open_order).compensated_by(Self::cancel_order))
            .compensatable(
                step("reserve-stock", Self::reserve_stock).compensated_by(Self::release_stock),
            )
            .compensatable(
                step("authorise-payment", Self::authorise_payment)
                    .timeout(OUTSIDE)
                    .compensated_by(Self::void_payment),
            )
            .compensatable(
                step("book-shipment", Self::book_shipment)
                    .on_reply(Self::shipment_booked)
                    .timeout(OUTSIDE)
                    .compensated_by(Self::cancel_shipment),
            )
            .pivot(step("capture-payment", Self::capture_payment).timeout(OUTSIDE))
            .retriable(step("confirm-order", Self::confirm_order))
            .retriable(step("notify-customer", Self::notify_customer).timeout(OUTSIDE))
            .build()
    }

    fn open_order(&self) -> OpenOrder {
        OpenOrder { order: self.order }
    }

    fn cancel_order(&self, why: &Why) -> CancelOrder {
        let cause = why.step.clone().unwrap_or_else(|| why.cause.clone());
        CancelOrder { order: self.order, reason: why.text.clone(), cause }
    }

    fn reserve_stock(&self) -> ReserveStock {
        ReserveStock { order: self.order, lines: self.input.lines.clone() }
    }

    fn release_stock(&self) -> ReleaseStock {
        ReleaseStock { order: self.order }
    }

    fn authorise_payment(&self) -> AuthorisePayment {
        AuthorisePayment {
            order: self.order,
            amount: self.input.total.clone(),
            payment_method: self.input.payment_method.clone(),
        }
    }

    fn void_payment(&self) -> VoidPayment {
        VoidPayment { order: self.order }
    }

    fn book_shipment(&self) -> BookShipment {
        BookShipment {
            order: self.order,
            ship_to: self.input.ship_to.clone(),
            lines: self.input.lines.clone(),
        }
    }

    fn shipment_booked(&mut self, booked: ShipmentBooked) {
        self.tracking = Some(booked.tracking);
    }

    fn cancel_shipment(&self) -> CancelShipment {
        CancelShipment { order: self.order }
    }

    fn capture_payment(&self) -> CapturePayment {
        CapturePayment { order: self.order }
    }

    fn confirm_order(&self) -> ConfirmOrder {
        ConfirmOrder { order: self.order, tracking: self.tracking.clone() }
    }

    fn notify_customer(&self) -> NotifyCustomer {
        NotifyCustomer {
            order: self.order,
            customer_id: self.input.customer_id.clone(),
            total: self.input.total.clone(),
            tracking: self.tracking.clone(),
        }
    }
}
