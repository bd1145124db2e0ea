//! The REST interface of a running instance, on a real journal and a real broker.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod bulk;
mod events;
mod explain;
mod instance;
mod lists;
mod participants;
mod verbs;
