//! Which leg of which saga: the small form of what envelopes say in words.

use contracts::{CommandEnvelope, Leg, SagaId};
use saga_core::Defined;
use std::sync::Arc;
use uuid::Uuid;

/// Names an inbox row, and an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LegKey {
    pub saga: usize,
    /// Its index in the plan.
    pub step: usize,
    pub leg: Leg,
}

impl LegKey {
    pub fn of(command: &CommandEnvelope, definition: &Arc<dyn Defined>) -> Option<Self> {
        let step = definition.plan().index(&command.step)?.get();
        Some(LegKey { saga: number(command.saga), step, leg: command.leg })
    }

    pub fn action(self) -> Self {
        LegKey { leg: Leg::Action, ..self }
    }

    pub fn compensation(self) -> Self {
        LegKey { leg: Leg::Compensation, ..self }
    }
}

/// The id of the world's saga of this number. The jitter of rests comes from the lower half.
pub fn saga_id(number: usize, salt: u64) -> SagaId {
    SagaId(Uuid::from_u64_pair(number as u64, salt))
}

pub fn number(saga: SagaId) -> usize {
    saga.0.as_u64_pair().0 as usize
}
