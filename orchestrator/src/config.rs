//! What the orchestrator is told by its environment.

use crate::duration::Age;
use runtime::config::{self, Redacted};
use saga_core::Patience;
use std::time::Duration;

/// In seconds.
const DAY: f64 = 86_400.0;

#[derive(Clone, Debug)]
pub struct Settings {
    pub database: Redacted,
    /// `SAGA_STEP_TIMEOUT` (seconds), `SAGA_STEP_ATTEMPTS` and `SAGA_DEADLINE` (seconds) replace
    /// what the definitions say.
    pub patience: Patience,
    /// `SAGA_BATCH` (256): how many messages one transaction takes at most.
    pub batch: usize,
    /// `SAGA_OVERLAP` (2): how many transactions of one queue may be under way at once.
    pub overlap: usize,
    /// `SAGA_CHECK_SENDERS` (false): a reply must come from the broker login that is named as the
    /// participant. For brokers with one login per service.
    pub check_senders: bool,
    /// `SAGA_IN_FLIGHT` (1000): from so many sagas in flight on, starts wait in their queue; 0: never.
    pub in_flight: usize,
    /// `SAGA_RETENTION` (0): how long a saga is kept after it has ended; `None`: for ever.
    pub retention: Option<Duration>,
}

impl Settings {
    pub fn from_env() -> Result<Self, config::Error> {
        let attempts = config::env("SAGA_STEP_ATTEMPTS", Some(0_u8))?;
        let Age(retention) = config::env("SAGA_RETENTION", Some(Age(Duration::ZERO)))?;
        Ok(Settings {
            database: config::database_url()?,
            patience: Patience {
                timeout: limit("SAGA_STEP_TIMEOUT", DAY)?,
                attempts: (attempts > 0).then_some(attempts),
                deadline: limit("SAGA_DEADLINE", 366.0 * DAY)?,
            },
            batch: config::env("SAGA_BATCH", Some(256_usize))?.clamp(1, 2_000),
            overlap: config::env("SAGA_OVERLAP", Some(2_usize))?.clamp(1, 32),
            check_senders: config::env("SAGA_CHECK_SENDERS", Some(false))?,
            in_flight: config::env("SAGA_IN_FLIGHT", Some(1_000_usize))?.min(1_000_000),
            retention: (!retention.is_zero()).then_some(retention),
        })
    }
}

/// A number of seconds, at most `most`; 0 is none.
fn limit(name: &'static str, most: f64) -> Result<Option<Duration>, config::Error> {
    let seconds = config::env(name, Some(0.0_f64))?;
    Ok((seconds > 0.0).then(|| Duration::from_secs_f64(seconds.min(most))))
}
