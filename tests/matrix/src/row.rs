//! The rows: every leg of the order saga, as its definition has them.

use contracts::Leg;
use saga_core::{Plan, StepKind};
use std::fmt;

/// One leg of one step.
#[derive(Clone, Debug)]
pub struct Row {
    /// From 0, among the rows.
    pub place: usize,
    pub step: &'static str,
    pub kind: StepKind,
    pub leg: Leg,
    /// The type of its command, and of the reply to it.
    pub command: &'static str,
    pub participant: &'static str,
    /// The type of the reply that makes the orchestrator ask for it; `start` for the first.
    pub cause: &'static str,
    /// The command that undoes it, if one does.
    pub undo: Option<&'static str>,
}

impl Row {
    /// The saga may give it up and go back.
    pub fn may_be_given_up(&self) -> bool {
        self.leg == Leg::Action && self.kind == StepKind::Compensatable
    }

    pub fn may_refuse(&self) -> bool {
        self.leg == Leg::Action && self.kind.may_refuse()
    }

    /// Its effects are not in the participant's database.
    pub fn is_outside(&self) -> bool {
        ["payment", "shipping", "notification"].contains(&self.participant)
    }
}

/// `reserve-stock`, or `reserve-stock/undo`.
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.leg {
            Leg::Action => f.pad(self.step),
            Leg::Compensation => f.pad(&format!("{}/undo", self.step)),
        }
    }
}

/// Each step's action, followed by its compensation.
///
/// A compensation is reached by an order whose pivot is refused, so that everything before the
/// pivot is undone, the latest first.
pub fn rows(plan: &Plan) -> Vec<Row> {
    let mut rows = Vec::new();
    let steps: Vec<_> = plan.steps().map(|(_, spec)| spec).collect();
    let pivot = plan.step(plan.pivot()).action.command;
    let mut cause = "start";
    for (number, spec) in steps.iter().enumerate() {
        let row = Row {
            place: rows.len(),
            step: spec.name,
            kind: spec.kind,
            leg: Leg::Action,
            command: spec.action.command,
            participant: spec.action.participant(),
            cause,
            undo: spec.compensation.as_ref().map(|leg| leg.command),
        };
        cause = row.command;
        if let Some(leg) = &spec.compensation {
            let later = steps[number + 1..].iter().find_map(|later| later.compensation.as_ref());
            let cause = later.map_or(pivot, |later| later.command);
            let undo = Row {
                place: row.place + 1,
                leg: Leg::Compensation,
                command: leg.command,
                cause,
                undo: None,
                ..row.clone()
            };
            rows.extend([row, undo]);
        } else {
            rows.push(row);
        }
    }
    rows
}

#[cfg(test)]
mod tests {

    #[test]
    fn every_leg_of_the_order_saga_is_a_row_and_knows_what_makes_it_happen() {
        let rows = crate::order_saga();
        let told: Vec<_> = rows.iter().map(|row| format!("{row}<{}", row.cause)).collect();
        assert_eq!(
            told,
            [
                "open-order<start",
                "open-order/undo<inventory.release-stock",
                "reserve-stock<order.open",
                "reserve-stock/undo<payment.void",
                "authorise-payment<inventory.reserve-stock",
                "authorise-payment/undo<shipping.cancel",
                "book-shipment<payment.authorise",
                "book-shipment/undo<payment.capture",
                "capture-payment<shipping.book",
                "confirm-order<payment.capture",
                "notify-customer<order.confirm",
            ]
        );
    }
}
