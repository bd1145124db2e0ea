//! Faults on purpose: per target from the admin endpoint, per request from the `x-fault` header.

use crate::answer::Answer;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Target {
    Gateway,
    Carrier,
    Webhook,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mode {
    #[default]
    Ok,
    /// 503 at once, without effect.
    Down,
    /// An ordinary answer, late by the latency (1000 ms unless told).
    Slow,
    /// 503 without effect for a share of the requests (half unless told).
    Flaky,
    /// No answer and no effect, for as long as the caller waits.
    Hang,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Fault {
    pub(crate) mode: Mode,
    /// Waited before anything else, in every mode.
    pub(crate) latency_ms: u64,
    /// Share of requests that fail, 0.0 to 1.0.
    pub(crate) error_rate: f64,
}

#[derive(Default)]
pub(crate) struct Faults(Mutex<BTreeMap<Target, Fault>>);

impl Faults {
    pub(crate) fn set(&self, target: Target, fault: Fault) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(target, fault);
    }

    pub(crate) fn all(&self) -> BTreeMap<Target, Fault> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets the request through, late perhaps, or answers in its place. Waits for ever on `hang`.
    pub(crate) async fn admit(&self, target: Target, headers: &HeaderMap) -> Result<(), Answer> {
        let fault = match headers.get("x-fault") {
            Some(value) => value.to_str().ok().and_then(Fault::parse).ok_or_else(|| {
                Answer::no(400, "x-fault is none of ok, down, slow:<ms>, flaky:<share>, hang")
            })?,
            None => self.all().get(&target).copied().unwrap_or_default(),
        };
        if fault.latency_ms > 0 {
            tokio::time::sleep(Duration::from_millis(fault.latency_ms)).await;
        }
        match fault.mode {
            Mode::Hang => std::future::pending().await,
            Mode::Down => Err(Answer::no(503, "down")),
            _ if chance() < fault.error_rate => Err(Answer::no(503, "flaky")),
            _ => Ok(()),
        }
    }
}

impl Fault {
    pub(crate) fn new(mode: Mode, latency_ms: Option<u64>, error_rate: Option<f64>) -> Self {
        Fault {
            mode,
            latency_ms: latency_ms.unwrap_or(if mode == Mode::Slow { 1000 } else { 0 }),
            error_rate: error_rate.unwrap_or(if mode == Mode::Flaky { 0.5 } else { 0.0 }),
        }
    }

    /// `down`, `slow`, `slow:250`, `flaky:0.9`, …
    fn parse(text: &str) -> Option<Self> {
        let (mode, number) = match text.split_once(':') {
            Some((mode, number)) => (mode, Some(number)),
            None => (text, None),
        };
        let mode = serde_json::from_value(mode.into()).ok()?;
        match (mode, number) {
            (_, None) => Some(Fault::new(mode, None, None)),
            (Mode::Slow, Some(number)) => Some(Fault::new(mode, Some(number.parse().ok()?), None)),
            (Mode::Flaky, Some(number)) => Some(Fault::new(mode, None, Some(number.parse().ok()?))),
            (_, Some(_)) => None,
        }
    }
}

/// Uniform, at least 0.0 and below 1.0.
fn chance() -> f64 {
    let (high, _) = uuid::Uuid::new_v4().as_u64_pair();
    // The top 32 bits of a version 4 id are all random.
    f64::from((high >> 32) as u32) / 4_294_967_296.0
}
