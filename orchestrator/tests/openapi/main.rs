//! The document at `/docs` and the API that it speaks of: each route in one is in the other, and a
//! running orchestrator answers whatever is asked of it as the document says.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod document;
mod draw;
mod fuzz;
mod routes;
mod wrong;
