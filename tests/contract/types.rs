//! The types of shared/contracts: every command, reply, refusal and event is described, and a value
//! of each, with all that may be left out and without, fits its description.

use crate::document::Document;
use anyhow::{Result, ensure};
use contracts::{
    Command, Currency, Event, Money, SagaId,
    inventory::{Line, ReleaseStock, ReserveStock, StockRefusal},
    notification::NotifyCustomer,
    order::{
        CancelOrder, ConfirmOrder, OpenOrder, OrderCancelled, OrderConfirmed, OrderCreated,
        OrderNotOpen, PlaceOrderInput,
    },
    payment::{
        AuthorisePayment, CapturePayment, PaymentAuthorised, PaymentDeclined, RefundPayment,
        VoidPayment,
    },
    shipping::{Address, BookShipment, CancelShipment, ShipmentBooked, Undeliverable},
};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// By message, its bodies.
#[derive(Default)]
struct Bodies(Vec<(String, Value)>);

impl Bodies {
    fn add(&mut self, message: impl Into<String>, body: impl Serialize) -> Result<()> {
        self.0.push((message.into(), serde_json::to_value(body)?));
        Ok(())
    }

    /// A command, and what it is answered with: `None` is nothing to say, or no refusal.
    fn command<C: Command>(
        &mut self,
        command: C,
        reply: Option<C::Reply>,
        refusals: impl IntoIterator<Item = C::Refusal>,
    ) -> Result<()> {
        self.add(C::TYPE, command)?;
        match reply {
            Some(reply) => self.add(format!("{}.done", C::TYPE), reply)?,
            None => self.add("done", ())?,
        }
        for refusal in refusals {
            let message = match C::TYPE {
                "payment.authorise" | "payment.capture" => "payment.refused".to_owned(),
                other => format!("{other}.refused"),
            };
            self.add(message, refusal)?;
        }
        Ok(())
    }

    fn event<E: Event>(&mut self, event: E) -> Result<()> {
        self.add(E::TYPE, event)
    }
}

fn bodies() -> Result<Bodies> {
    let order = SagaId("0195b1f0-7c3a-7000-8000-000000000001".parse()?);
    let text = || "text".to_owned();
    let lines = || vec![Line { product_id: text(), quantity: 2 }];
    let euros = Currency::new("EUR").ok_or_else(|| anyhow::anyhow!("no currency"))?;
    let money = || Money::new(1_290, euros.clone());
    let bare =
        Address { name: None, street: None, city: None, postal_code: None, country: "DE".into() };
    let full = Address {
        name: Some(text()),
        street: Some(text()),
        city: Some(text()),
        postal_code: Some(text()),
        country: "DE".into(),
    };
    let mut all = Bodies::default();
    for (ship_to, tracking) in [(bare, None), (full, Some(text()))] {
        all.add(
            "saga.start",
            PlaceOrderInput {
                customer_id: text(),
                lines: lines(),
                total: money(),
                payment_method: text(),
                ship_to: ship_to.clone(),
            },
        )?;
        let booked = Some(ShipmentBooked { tracking: text() });
        let book = BookShipment { order, ship_to, lines: lines() };
        all.command(book, booked, [Undeliverable { reason: text() }])?;
        all.command(ConfirmOrder { order, tracking: tracking.clone() }, None, [])?;
        let total = money();
        all.command(NotifyCustomer { order, customer_id: text(), total, tracking }, None, [])?;
    }
    all.command(OpenOrder { order }, None, [OrderNotOpen { status: text() }])?;
    all.command(CancelOrder { order, reason: text(), cause: text() }, None, [])?;
    let refusals = [
        StockRefusal::OutOfStock { product_id: text(), wanted: 2, free: 0 },
        StockRefusal::UnknownProduct { product_id: text() },
    ];
    all.command(ReserveStock { order, lines: lines() }, None, refusals)?;
    all.command(ReleaseStock { order }, None, [])?;
    let authorise = AuthorisePayment { order, amount: money(), payment_method: text() };
    let authorised = Some(PaymentAuthorised { authorisation: text() });
    let declined = || [PaymentDeclined { reason: text() }];
    all.command(authorise, authorised, declined())?;
    all.command(VoidPayment { order }, None, [])?;
    all.command(CapturePayment { order }, None, declined())?;
    all.command(RefundPayment { order }, None, [])?;
    all.command(CancelShipment { order }, None, [])?;
    let (customer_id, total) = (text(), money());
    all.event(OrderCreated { order, customer_id, lines: lines(), total })?;
    let (customer_id, total) = (text(), money());
    all.event(OrderConfirmed { order, customer_id, lines: lines(), total })?;
    let (customer_id, total, reason, cause) = (text(), money(), text(), text());
    all.event(OrderCancelled { order, customer_id, total, reason, cause })?;
    all.add("faulted", json!({ "error": "text" }))?;
    Ok(all)
}

#[test]
fn every_type_of_the_contract_is_described_as_it_is_written() -> Result<()> {
    let document = Document::read()?;
    let Bodies(bodies) = bodies()?;
    for (message, body) in &bodies {
        ensure!(document.messages().contains(message), "{message} is not described");
        let wrong = document.wrong_payload(message, body);
        ensure!(wrong.is_empty(), "{message}: {}: {body}", wrong.join(", "));
    }
    let typed: BTreeSet<_> = bodies.into_iter().map(|(message, _)| message).collect();
    // Poison may be anything.
    let mut described = document.messages();
    described.remove("dead-letter");
    described.remove("pack");
    ensure!(described == typed, "{:?}", described.symmetric_difference(&typed));
    Ok(())
}

/// A command that the code has and nobody thought of here would be in a plan, or in nothing at all.
#[test]
fn every_command_of_the_definitions_is_described() -> Result<()> {
    let document = Document::read()?;
    let catalogue = sagas::catalogue(saga_core::Patience::default());
    for definition in catalogue.iter() {
        for (_, step) in definition.plan().steps() {
            for leg in [Some(step.action), step.compensation].into_iter().flatten() {
                ensure!(document.messages().contains(leg.command), "{}", leg.command);
            }
        }
    }
    Ok(())
}
