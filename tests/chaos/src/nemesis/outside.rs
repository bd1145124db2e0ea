//! The gateway and the carrier.

use super::Ground;
use crate::fault::{Dependency, Mood};
use anyhow::Result;
use serde_json::json;

/// Most calls still come in time (3 s), some do not.
const SLOW_MS: u64 = 2_000;

pub(super) async fn set(ground: &Ground, who: Dependency, mood: Option<Mood>) -> Result<()> {
    let mode = match mood {
        None => json!({ "mode": "ok" }),
        Some(Mood::Down) => json!({ "mode": "down" }),
        Some(Mood::Slow) => json!({ "mode": "slow", "latency_ms": SLOW_MS }),
    };
    ground.set_fault(who.as_str(), mode).await
}
