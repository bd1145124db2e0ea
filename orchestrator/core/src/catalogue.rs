//! Definitions by name and version, with their data types erased: what the engine works with.

use crate::{Budgets, Plan, StepIndex};
use contracts::{Leg, SagaId};
use std::{collections::BTreeMap, sync::Arc};

/// Why a saga goes back, in words: what a compensation may tell the participant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// `refused`, `faulted`, `unanswered`, `cancelled`, `deadline-passed` or `forced`.
    pub cause: String,
    /// The step that turned the saga round, if one did.
    pub step: Option<String>,
    /// For people: `authorise-payment refused: payment declined: card-declined`.
    pub text: String,
}

/// A payload that does not fit its type.
#[derive(Debug, thiserror::Error)]
#[error("{what} does not fit: {}", contracts::without_values(.source))]
pub struct MappingError {
    pub what: String,
    #[source]
    pub source: serde_json::Error,
}

/// A definition whose data type the engine does not know. Data is JSON, as stored.
pub trait Defined: Send + Sync + 'static {
    fn plan(&self) -> &Plan;

    /// The saga's data at its start, from the input.
    fn begin(&self, saga: SagaId, input: &[u8]) -> Result<Vec<u8>, MappingError>;

    /// The body of a command. It may use the input and the replies of earlier stages, so that it
    /// is the same whenever it is rendered.
    fn command(
        &self,
        data: &[u8],
        step: StepIndex,
        leg: Leg,
        why: Option<&Why>,
    ) -> Result<Vec<u8>, MappingError>;

    /// The data after a `done` reply to the action of `step`; `None` when it learns nothing.
    fn learn(
        &self,
        data: &[u8],
        step: StepIndex,
        reply: &[u8],
    ) -> Result<Option<Vec<u8>>, MappingError>;

    /// Whether a body is a `done` reply to the leg, although nobody may learn from it.
    fn fits(&self, step: StepIndex, leg: Leg, reply: &[u8]) -> Result<(), MappingError>;

    /// A refusal in words.
    fn refusal(&self, step: StepIndex, body: &[u8]) -> Result<String, MappingError>;
}

/// A definition under budgets that are not its own any more.
struct Pinned {
    definition: Arc<dyn Defined>,
    plan: Plan,
}

impl Defined for Pinned {
    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn begin(&self, saga: SagaId, input: &[u8]) -> Result<Vec<u8>, MappingError> {
        self.definition.begin(saga, input)
    }

    fn command(
        &self,
        data: &[u8],
        step: StepIndex,
        leg: Leg,
        why: Option<&Why>,
    ) -> Result<Vec<u8>, MappingError> {
        self.definition.command(data, step, leg, why)
    }

    fn learn(
        &self,
        data: &[u8],
        step: StepIndex,
        reply: &[u8],
    ) -> Result<Option<Vec<u8>>, MappingError> {
        self.definition.learn(data, step, reply)
    }

    fn fits(&self, step: StepIndex, leg: Leg, reply: &[u8]) -> Result<(), MappingError> {
        self.definition.fits(step, leg, reply)
    }

    fn refusal(&self, step: StepIndex, body: &[u8]) -> Result<String, MappingError> {
        self.definition.refusal(step, body)
    }
}

/// All definitions that an orchestrator can drive. Old versions stay while sagas refer to them.
#[derive(Clone, Default)]
pub struct Catalogue {
    definitions: BTreeMap<(String, u16), Arc<dyn Defined>>,
}

impl Catalogue {
    pub fn with(mut self, definition: impl Defined) -> Self {
        let key = (definition.plan().name().to_owned(), definition.plan().version());
        self.definitions.insert(key, Arc::new(definition));
        self
    }

    /// The definition that a running saga is pinned to.
    pub fn get(&self, name: &str, version: u16) -> Option<&Arc<dyn Defined>> {
        self.definitions.get(&(name.to_owned(), version))
    }

    /// The same, with the budgets that the saga was started with.
    pub fn pinned(&self, name: &str, version: u16, budgets: &Budgets) -> Option<Arc<dyn Defined>> {
        let definition = self.get(name, version)?;
        if Budgets::of(definition.plan()) == *budgets {
            return Some(definition.clone());
        }
        let plan = budgets.applied(definition.plan());
        Some(Arc::new(Pinned { definition: definition.clone(), plan }))
    }

    /// The newest version, for a saga that starts.
    pub fn newest(&self, name: &str) -> Option<&Arc<dyn Defined>> {
        let versions = (name.to_owned(), 0)..=(name.to_owned(), u16::MAX);
        self.definitions.range(versions).next_back().map(|(_, definition)| definition)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Defined>> {
        self.definitions.values()
    }
}
