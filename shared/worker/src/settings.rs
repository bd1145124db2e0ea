use runtime::config::{self, Redacted};

/// What the environment decides. A value that is not usable is told before anything starts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `DATABASE_URL`.
    pub database: Redacted,
    /// `WORKER_BATCH` (200): commands or events in one transaction, at most.
    pub batch: usize,
    /// `WORKER_CALLS` (64): calls to the outside at one time.
    pub calls: usize,
    /// `WORKER_RETRIES` (5): times a command goes through the delayed retry queues.
    pub retries: u32,
}

impl Settings {
    pub fn from_env() -> Result<Self, config::Error> {
        Ok(Settings {
            database: config::database_url()?,
            batch: config::env("WORKER_BATCH", Some(200_usize))?.clamp(1, 1000),
            calls: config::env("WORKER_CALLS", Some(64_usize))?.clamp(1, 1000),
            retries: config::env("WORKER_RETRIES", Some(5_u32))?,
        })
    }

    /// Unacknowledged messages at one time: a batch at work, one being published, one waiting,
    /// and every call.
    pub(crate) fn prefetch(&self) -> u16 {
        u16::try_from(self.batch * 3 + self.calls).unwrap_or(u16::MAX)
    }
}
