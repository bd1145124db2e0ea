use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// Names one saga. Whoever starts a saga chooses the id, so that starting twice is one saga; an
/// order's id is its saga's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SagaId(pub Uuid);

impl SagaId {
    /// The key that names one leg of one step everywhere: in the inbox, and towards gateways and
    /// carriers as their idempotency key. Attempts share it: a second attempt is the same request.
    pub fn key(self, step: &str, leg: crate::Leg) -> String {
        format!("{self}/{step}/{leg}")
    }
}

impl fmt::Display for SagaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for SagaId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(SagaId)
    }
}
