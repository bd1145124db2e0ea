//! Definitions by name and version, with their data types erased: what the engine works with.

use crate::{Plan, StepIndex};
use contracts::{Leg, SagaId};
use std::{collections::BTreeMap, sync::Arc};

/// Why a saga goes back, in words: what a compensation may tell the participant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// `refused`, `faulted`, `unanswered`, `cancelled` or `deadline-passed`.
    pub cause: String,
    /// The step that turned the saga round, if one did.
    pub step: Option<String>,
    /// For people: `authorise-payment refused: payment declined: card-declined`.
    pub text: String,
}

/// A payload that does not fit its type.
#[derive(Debug, thiserror::Error)]
#[error("{what} does not fit: {source}")]
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

    /// A refusal in words.
    fn refusal(&self, step: StepIndex, body: &[u8]) -> Result<String, MappingError>;
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

    /// The newest version, for a saga that starts.
    pub fn newest(&self, name: &str) -> Option<&Arc<dyn Defined>> {
        let versions = (name.to_owned(), 0)..=(name.to_owned(), u16::MAX);
        self.definitions.range(versions).next_back().map(|(_, definition)| definition)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Defined>> {
        self.definitions.values()
    }
}
