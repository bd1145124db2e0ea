//! Everything that anybody knows about one saga.

use super::{
    history::{self, Replayed},
    ledger::{Authorisation, Parcel},
};
use contracts::{Leg, Outcome};
use orchestrator::{
    record::Record,
    replay::Line,
    stored::{self, Row},
};
use saga_core::{Budgets, Catalogue, StepState};
use serde_json::Value;
use sqlx::{FromRow, types::Json};
use std::collections::BTreeSet;
use time::OffsetDateTime;
use uuid::Uuid;

/// The definition that the business's own invariants speak of.
const ORDERING: &str = "place-order";

/// One id, and what each of the books says of it.
#[derive(Default)]
pub(crate) struct Dossier {
    pub saga: Option<Journalled>,
    pub order: Option<Order>,
    /// Lines of a history that belong to no saga.
    pub orphans: usize,
    /// The message that will start its saga is still in the order service's outbox.
    pub start_waits: bool,
    pub inbox: Vec<InboxRow>,
    pub holds: Vec<Hold>,
    pub payment: Option<Payment>,
    pub shipment: Option<Shipment>,
    pub notifications: Vec<Notification>,
    pub counted: Option<Counted>,
    pub authorisations: Vec<Authorisation>,
    pub parcels: Vec<Parcel>,
    /// When any of it began last; `None` when only the outside knows of it.
    pub latest: Option<OffsetDateTime>,
}

/// A saga and its history.
pub(crate) struct Journalled {
    pub definition: String,
    pub version: i32,
    pub state: String,
    pub parked: Option<String>,
    pub revision: i64,
    pub wake_at: Option<OffsetDateTime>,
    /// What wake-ups are found by, where that is not `wake_at` itself.
    pub look_at: Option<OffsetDateTime>,
    /// The database's time when it was read.
    pub now: OffsetDateTime,
    pub stored: Stored,
    pub lines: Vec<Entry>,
    pub replayed: Replayed,
}

/// The row as the engine would take it up.
pub(crate) enum Stored {
    Sound(Box<Record>),
    /// Why the engine cannot make anything of it.
    Corrupt(String),
    /// Of a definition that this build does not have.
    Foreign,
}

/// Which way a saga goes, or how it ended, by its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Running,
    Compensating,
    Completed,
    Compensated,
}

#[derive(FromRow)]
pub(crate) struct SagaRow {
    pub id: Uuid,
    definition: String,
    version: i32,
    state: String,
    cause: Option<Value>,
    steps: Value,
    parked: Option<String>,
    revision: i64,
    wake_at: Option<OffsetDateTime>,
    look_at: Option<OffsetDateTime>,
    deadline_at: Option<OffsetDateTime>,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
    ended_at: Option<OffsetDateTime>,
    /// As the saga began with them; of a journal that does not keep them, none.
    budgets: Option<Json<Budgets>>,
    now: OffsetDateTime,
}

/// One line of a history.
#[derive(FromRow)]
pub(crate) struct Entry {
    pub saga_id: Uuid,
    pub number: i64,
    pub word: String,
    pub of_step: Option<String>,
    pub of_leg: Option<String>,
    of_outcome: Option<String>,
    /// The body of a reply, JSON.
    pub said: Option<String>,
    #[sqlx(flatten)]
    pub line: Line,
}

#[derive(FromRow)]
pub(crate) struct Order {
    pub id: Uuid,
    pub status: String,
    pub amount: i64,
    pub currency: String,
    pub items: Value,
    pub tracking: Option<String>,
    /// By the customer, before any saga took it into work.
    pub withdrawn: bool,
    pub at: OffsetDateTime,
}

#[derive(FromRow)]
pub(crate) struct InboxRow {
    pub saga_id: Uuid,
    #[sqlx(skip)]
    pub participant: &'static str,
    pub step: String,
    pub leg: String,
    pub kind: String,
    pub outcome: Option<String>,
    pub reply: Option<Value>,
    pub at: OffsetDateTime,
}

#[derive(FromRow)]
pub(crate) struct Hold {
    pub order_id: Uuid,
    pub product_id: String,
    pub quantity: i64,
    pub status: String,
    pub at: OffsetDateTime,
}

#[derive(FromRow)]
pub(crate) struct Payment {
    pub order_id: Uuid,
    pub amount: i64,
    pub currency: String,
    pub authorisation_key: Option<String>,
    pub authorisation: Option<String>,
    pub status: String,
    pub at: OffsetDateTime,
}

#[derive(FromRow)]
pub(crate) struct Shipment {
    pub order_id: Uuid,
    pub shipment_key: Option<String>,
    pub tracking: Option<String>,
    pub status: String,
    pub at: OffsetDateTime,
}

#[derive(FromRow)]
pub(crate) struct Notification {
    pub order_id: Uuid,
    pub channel: String,
    pub status: String,
    pub at: OffsetDateTime,
}

/// An order as analytics has heard of it.
#[derive(FromRow)]
pub(crate) struct Counted {
    pub order_id: Uuid,
    pub status: String,
    pub amount: i64,
    pub currency: String,
    pub at: OffsetDateTime,
}

impl Dossier {
    /// Of a saga that places an order; how it stands.
    pub fn ordering(&self) -> Option<Standing> {
        let saga = self.saga.as_ref()?;
        (saga.definition == ORDERING).then(|| saga.standing()).flatten()
    }

    /// The inbox row of a leg, whoever has it.
    pub fn leg(&self, step: &str, leg: Leg) -> Option<&InboxRow> {
        self.inbox.iter().find(|row| row.step == step && row.leg == leg.as_str())
    }

    /// Where the journal says that the step stands.
    pub fn step(&self, name: &str) -> Option<StepState> {
        let Stored::Sound(record) = &self.saga.as_ref()?.stored else { return None };
        Some(record.state.step(record.definition.plan().index(name)?))
    }

    /// The order's lines, product by product; `None` when they cannot be read.
    pub fn ordered(&self) -> Option<Vec<(String, i64)>> {
        let items = self.order.as_ref()?.items.as_array()?;
        let line = |item: &Value| {
            Some((item["product_id"].as_str()?.to_owned(), item["quantity"].as_i64()?))
        };
        let mut lines = items.iter().map(line).collect::<Option<Vec<_>>>()?;
        lines.sort();
        Some(lines)
    }
}

impl Journalled {
    pub fn new(row: SagaRow, lines: Vec<Entry>, catalogue: &Catalogue) -> Self {
        let version = u16::try_from(row.version).ok();
        let definition = version.and_then(|version| match &row.budgets {
            Some(Json(budgets)) => catalogue.pinned(&row.definition, version, budgets),
            None => catalogue.get(&row.definition, version).cloned(),
        });
        let replayed = match definition {
            Some(definition) => history::replay(definition.plan(), &lines),
            None => Replayed::Unknown,
        };
        Journalled {
            definition: row.definition.clone(),
            version: row.version,
            state: row.state.clone(),
            parked: row.parked.clone(),
            revision: row.revision,
            wake_at: row.wake_at,
            look_at: row.look_at,
            now: row.now,
            stored: row.stored(catalogue),
            lines,
            replayed,
        }
    }

    /// The steps of which an operator has taken it upon them that they are done, or are not: there
    /// the participants may say otherwise.
    pub fn vouched_for(&self) -> BTreeSet<String> {
        let pivot = || match &self.stored {
            Stored::Sound(record) => {
                let plan = record.definition.plan();
                Some(plan.step(plan.pivot()).name.to_owned())
            }
            _ => None,
        };
        let step = |line: &Entry| match line.word.as_str() {
            "skip-requested" => line.of_step.clone(),
            "force-compensate-requested" => pivot(),
            _ => None,
        };
        self.lines.iter().filter_map(step).collect()
    }

    /// `None` for a word that is none of the four.
    pub fn standing(&self) -> Option<Standing> {
        Some(match self.state.as_str() {
            "running" => Standing::Running,
            "compensating" => Standing::Compensating,
            "completed" => Standing::Completed,
            "compensated" => Standing::Compensated,
            _ => return None,
        })
    }
}

impl Standing {
    pub fn has_ended(self) -> bool {
        matches!(self, Standing::Completed | Standing::Compensated)
    }
}

impl SagaRow {
    fn stored(self, catalogue: &Catalogue) -> Stored {
        let cause = self.cause.map(serde_json::from_value).transpose();
        let steps = serde_json::from_value(self.steps);
        let (cause, steps) = match (cause, steps) {
            (Ok(cause), Ok(steps)) => (cause, steps),
            (Err(error), _) => return Stored::Corrupt(format!("cause: {error}")),
            (_, Err(error)) => return Stored::Corrupt(format!("steps: {error}")),
        };
        let row = Row {
            id: self.id,
            definition: self.definition,
            version: self.version,
            state: self.state,
            cause: cause.map(Json),
            steps: Json(steps),
            parked: self.parked,
            // Not read: what the commands are made of is between the saga and its definition.
            data: "null".to_owned(),
            revision: self.revision,
            wake_at: self.wake_at,
            deadline_at: self.deadline_at,
            traceparent: None,
            created_at: self.created_at,
            updated_at: self.updated_at,
            ended_at: self.ended_at,
            budgets: self.budgets,
        };
        match row.record(catalogue) {
            Ok(record) => Stored::Sound(Box::new(record)),
            Err(stored::Error::UnknownDefinition { .. }) => Stored::Foreign,
            Err(error @ stored::Error::Corrupt { .. }) => Stored::Corrupt(error.to_string()),
        }
    }
}

impl Entry {
    pub fn outcome(&self) -> Option<Outcome> {
        self.of_outcome.as_deref()?.parse().ok()
    }
}

impl InboxRow {
    /// The answer, once there is one.
    pub fn answered(&self) -> Option<Outcome> {
        self.outcome.as_deref()?.parse().ok()
    }

    pub fn seen(&self) -> String {
        format!("{}, {}", self.kind, self.outcome.as_deref().unwrap_or("no outcome"))
    }
}
