//! Readiness: what this process needs to do its work, and whether it has it just now.
//!
//! `/healthz` says that the process runs (a restart would not help a missing broker), `/readyz`
//! whether every part is up.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// The parts of one process.
#[derive(Clone, Debug, Default)]
pub struct Health {
    parts: Arc<Mutex<BTreeMap<String, Standing>>>,
}

#[derive(Clone, Debug, Serialize)]
struct Standing {
    up: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// The handle by which one part reports. Parts of the same name are one part.
#[derive(Clone, Debug)]
pub struct Part {
    name: String,
    health: Health,
}

impl Health {
    pub fn new() -> Self {
        Self::default()
    }

    /// A new part, down until it first reports itself up.
    pub fn part(&self, name: impl Into<String>) -> Part {
        let part = Part { name: name.into(), health: self.clone() };
        part.down("starting");
        part
    }

    pub fn is_ready(&self) -> bool {
        self.with_parts(|parts| parts.values().all(|standing| standing.up))
    }

    /// The answer to `/readyz`: 200 or 503, with every part in the body.
    pub fn readiness(&self) -> Response {
        #[derive(Serialize)]
        struct Report {
            ready: bool,
            parts: BTreeMap<String, Standing>,
        }
        let parts = self.with_parts(|parts| parts.clone());
        let ready = parts.values().all(|standing| standing.up);
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, Json(Report { ready, parts })).into_response()
    }

    fn with_parts<R>(&self, look: impl FnOnce(&mut BTreeMap<String, Standing>) -> R) -> R {
        look(&mut self.parts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Part {
    pub fn up(&self) {
        self.report(true, None);
    }

    /// `reason` is shown to anybody who asks `/readyz`: no secrets.
    pub fn down(&self, reason: impl Into<String>) {
        self.report(false, Some(reason.into()));
    }

    fn report(&self, up: bool, reason: Option<String>) {
        let name = self.name.clone();
        self.health.with_parts(|parts| parts.insert(name, Standing { up, reason }));
        metrics::gauge!("health_part_up", "part" => self.name.clone()).set(f64::from(u8::from(up)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_ready_only_while_every_part_is_up() {
        let health = Health::new();
        assert!(health.is_ready());
        let (broker, database) = (health.part("broker"), health.part("database"));
        broker.up();
        assert!(!health.is_ready(), "a part is down until it reports");
        assert_eq!(health.readiness().status(), StatusCode::SERVICE_UNAVAILABLE);
        database.up();
        assert!(health.is_ready());
        assert_eq!(health.readiness().status(), StatusCode::OK);
        broker.down("connection refused");
        assert!(!health.is_ready());
    }
}
