//! What every simulated call has in common: the key, the fault on the way, the answer kept.

use crate::{
    Simulator,
    answer::Answer,
    book::Told,
    fault::Target,
    ledger::{Decision, Ledger},
};
use axum::http::HeaderMap;
use serde::Serialize;

const MAX_KEY: usize = 255;

pub(crate) fn key(headers: &HeaderMap) -> Result<&str, Answer> {
    match headers.get("idempotency-key").map(|value| value.to_str()) {
        Some(Ok(key)) if !key.is_empty() && key.len() <= MAX_KEY => Ok(key),
        Some(_) => Err(Answer::no(400, "idempotency-key-invalid")),
        None => Err(Answer::no(400, "idempotency-key-missing")),
    }
}

impl Simulator {
    pub(crate) async fn tell(
        &self,
        target: Target,
        operation: &str,
        headers: &HeaderMap,
        request: &impl Serialize,
        decide: impl FnOnce(&str, &Ledger) -> Decision,
    ) -> Result<Told, Answer> {
        let key = key(headers)?;
        self.faults.admit(target, headers).await?;
        let request =
            serde_json::to_value(request).map_err(|_| Answer::no(400, "request-unreadable"))?;
        let told = self.book.answer(operation, key, request, |ledger| decide(key, ledger));
        let told = told.map_err(unwritten)?;
        tracing::debug!(operation, key, status = told.answer.status, first = told.first, "told");
        Ok(told)
    }
}

/// Nothing is answered that is not written down.
pub(crate) fn unwritten(error: crate::journal::Error) -> Answer {
    tracing::error!(error = &error as &dyn std::error::Error, "state file not written");
    Answer::no(500, "state-not-written")
}
