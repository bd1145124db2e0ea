//! What every process of the system needs and none should write twice: configuration from the
//! environment, logs and metrics, an orderly stop, readiness, the HTTP surface, and the defences
//! against a dependency that is slow or gone.
//!
//! Nothing here knows the broker, the database or a saga. Three of the modules are fences around
//! third-party crates: [`resilience`] is the only file that uses `backoff` and `failsafe`,
//! [`http_client`] the only one that sets up `reqwest`, and [`trace`] keeps OpenTelemetry.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod config;
pub mod failpoint;
pub mod health;
pub mod http;
pub mod http_client;
pub mod outside;
pub mod page;
pub mod resilience;
pub mod sabotage;
pub mod series;
pub mod shutdown;
pub mod telemetry;
pub mod trace;
