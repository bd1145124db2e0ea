//! `sagactl`, the operator's tool. This library is what its commands are made of, so that tests
//! can call them without a process.
//!
//! - [`audit`] reads every service's books and says which promises are broken.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod audit;
