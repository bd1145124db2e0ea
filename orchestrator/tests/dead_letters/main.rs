//! Dead letters, from their queues to their end.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod collecting;
mod replaying;
mod world;
