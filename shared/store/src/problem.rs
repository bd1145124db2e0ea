//! A database error, as a REST client sees it.

use crate::failure::{is_infrastructure, is_retriable};
use runtime::http::Problem;
use std::borrow::Borrow;

const RETRY_AFTER_S: u32 = 2;

/// The database is away or busy: 503, and when to come back. Anything else is our fault: 500.
/// Logged here, once; the cause never reaches the client.
pub fn problem(error: impl Borrow<sqlx::Error>) -> Problem {
    let error = error.borrow();
    if is_infrastructure(error) || is_retriable(error) {
        tracing::warn!(%error, "the database cannot answer");
        return Problem::unavailable("the database cannot answer right now", RETRY_AFTER_S);
    }
    Problem::fault(error)
}
