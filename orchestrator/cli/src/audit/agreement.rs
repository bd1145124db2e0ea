//! The journal and the participants: each says of every leg what the other says, and there is no
//! effect of which the journal knows nothing.

use super::{
    dossier::{Dossier, InboxRow, Stored},
    invariant::{Finding, Invariant, Need},
};
use contracts::{Leg, Outcome};
use saga_core::{StepKind, StepSpec, StepState};
use serde_json::Value;

const ALL: &[Need] = &[
    Need::Database("order"),
    Need::Database("inventory"),
    Need::Database("payment"),
    Need::Database("shipping"),
    Need::Database("notification"),
];

pub(crate) const OF_A_SAGA: &[Invariant<Dossier>] = &[
    Invariant {
        name: "inbox-agrees-with-the-journal",
        says: "a step that the journal calls done, refused or undone is so in its participant's inbox, and the inbox knows of no leg that was not asked for",
        needs: ALL,
        broken: inbox_agrees,
    },
    Invariant {
        name: "reply-is-the-inboxes",
        says: "an answer in the history is the one that the inbox gives whoever asks again",
        needs: ALL,
        broken: reply_is_the_inboxes,
    },
    Invariant {
        name: "effect-has-its-saga",
        says: "nothing is reserved, paid, shipped, notified or answered without a saga",
        needs: &[],
        broken: effect_has_its_saga,
    },
    Invariant {
        name: "effect-has-its-inbox-row",
        says: "every effect commits together with the inbox row of its leg",
        needs: ALL,
        broken: effect_has_its_row,
    },
];

fn inbox_agrees(dossier: &Dossier) -> Vec<Finding> {
    let Some(saga) = &dossier.saga else { return Vec::new() };
    let Stored::Sound(record) = &saga.stored else { return Vec::new() };
    let (plan, open) = (record.definition.plan(), record.state.is_open());
    let mut found = Vec::new();
    for (step, spec) in plan.steps() {
        let state = record.state.step(step);
        let [action, compensation] =
            [Leg::Action, Leg::Compensation].map(|leg| dossier.leg(spec.name, leg));
        if !fits(spec, state, open, action, compensation) {
            let seen = |row: Option<&InboxRow>| row.map_or("no row".to_owned(), InboxRow::seen);
            let (action, compensation) = (seen(action), seen(compensation));
            found.push(Finding::new(
                spec.name,
                format!("journal: {state:?}; inbox: action {action}; compensation {compensation}"),
            ));
        }
    }
    let unknown = |row: &&InboxRow| {
        let leg = row.leg.parse().ok().zip(plan.index(&row.step));
        let spec = leg.and_then(|(leg, step)| plan.leg(step, leg));
        spec.is_none_or(|spec| spec.participant() != row.participant)
    };
    for row in dossier.inbox.iter().filter(unknown) {
        let about = format!("{} {} at {}", row.step, row.leg, row.participant);
        found.push(Finding::new(about, format!("{}, and no leg of the saga", row.seen())));
    }
    found
}

/// Whether the rows of a step are what the journal lets expect. The journal was read first, so a
/// participant may be ahead of it while the saga is open, and never behind.
fn fits(
    spec: &StepSpec,
    state: StepState,
    open: bool,
    action: Option<&InboxRow>,
    compensation: Option<&InboxRow>,
) -> bool {
    let is =
        |row: Option<&InboxRow>, outcome| row.is_some_and(|row| row.answered() == Some(outcome));
    match state {
        // A customer may withdraw an order that is about to be opened: an intent, and no saga yet.
        StepState::Pending => open || (action.is_none() && compensation.is_none()),
        StepState::Acting(_) => open,
        StepState::Done => is(action, Outcome::Done) && (open || compensation.is_none()),
        StepState::Refused => is(action, Outcome::Refused) && compensation.is_none(),
        StepState::Undoing(_) => open,
        // A read-only step leaves nothing, whatever it answered.
        StepState::Undone if spec.kind == StepKind::ReadOnly => true,
        StepState::Undone => {
            is(compensation, Outcome::Done) && action.is_some_and(|row| row.answered().is_some())
        }
    }
}

fn reply_is_the_inboxes(dossier: &Dossier) -> Vec<Finding> {
    let Some(saga) = &dossier.saga else { return Vec::new() };
    let mut found = Vec::new();
    for entry in saga.lines.iter().filter(|entry| entry.word == "replied") {
        let (Some(step), Some(Ok(leg))) =
            (&entry.of_step, entry.of_leg.as_deref().map(str::parse::<Leg>))
        else {
            continue;
        };
        // Faults are not remembered; and without a row there is nothing to compare with.
        let Some(row) = dossier.leg(step, leg).filter(|row| row.kind == "answer") else { continue };
        let said = entry.said.as_deref().and_then(|body| serde_json::from_str(body).ok());
        let said: Value = said.unwrap_or_default();
        let kept = row.reply.clone().unwrap_or_default();
        if entry.outcome() == row.answered() && said != kept {
            let seen = format!("history {said}, inbox {kept}");
            found.push(Finding::new(format!("{step} {leg}"), seen));
        }
    }
    found
}

fn effect_has_its_saga(dossier: &Dossier) -> Vec<Finding> {
    // An order without a saga is told where orders are looked at.
    if dossier.saga.is_some() || dossier.order.is_some() {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut tell = |about: String, seen: &str| found.push(Finding::new(about, seen));
    for row in &dossier.inbox {
        tell(format!("{} {} at {}", row.step, row.leg, row.participant), &row.seen());
    }
    for hold in &dossier.holds {
        tell(format!("hold of {}", hold.product_id), &format!("{} {}", hold.quantity, hold.status));
    }
    if let Some(payment) = &dossier.payment {
        tell("payment".to_owned(), &format!("{} {}", payment.amount, payment.status));
    }
    if let Some(shipment) = &dossier.shipment {
        tell("shipment".to_owned(), &shipment.status);
    }
    for notification in &dossier.notifications {
        tell(format!("notification by {}", notification.channel), &notification.status);
    }
    for record in dossier.authorisations.iter().filter(|record| record.status != "voided") {
        tell(format!("gateway: {}", record.key), &format!("{} {}", record.amount, record.status));
    }
    for parcel in dossier.parcels.iter().filter(|parcel| parcel.status != "cancelled") {
        tell(format!("carrier: {}", parcel.key), &parcel.status);
    }
    if let Some(counted) = &dossier.counted {
        tell("order in analytics".to_owned(), &counted.status);
    }
    found
}

/// Whoever has an effect has an inbox row of its leg: one that is done where the effect is in the
/// database itself, any where it was prepared before the outside was called. A row that is missing
/// although the journal calls the step answered is told by [`inbox_agrees`] already.
fn effect_has_its_row(dossier: &Dossier) -> Vec<Finding> {
    if dossier.ordering().is_none() {
        return Vec::new();
    }
    let paid = dossier.payment.as_ref().map(|payment| payment.status.as_str());
    let ordered = dossier.order.as_ref().map(|order| order.status.as_str());
    let effects = [
        ("reserve-stock", !dossier.holds.is_empty(), true),
        ("authorise-payment", paid.is_some(), false),
        ("book-shipment", dossier.shipment.is_some(), false),
        ("capture-payment", paid == Some("captured"), true),
        ("confirm-order", ordered == Some("confirmed"), true),
        ("notify-customer", !dossier.notifications.is_empty(), false),
    ];
    let unfounded = |step: &str, done: bool| match dossier.leg(step, Leg::Action) {
        Some(row) => done && row.answered() != Some(Outcome::Done),
        None => !matches!(
            dossier.step(step),
            Some(StepState::Done | StepState::Refused | StepState::Undone)
        ),
    };
    effects
        .into_iter()
        .filter(|(step, there, done)| *there && unfounded(step, *done))
        .map(|(step, ..)| {
            let row = dossier.leg(step, Leg::Action).map_or("no row".to_owned(), InboxRow::seen);
            Finding::new(step, format!("an effect; the inbox has {row}"))
        })
        .collect()
}
