//! What was broken when, and who noticed.

use crate::fault::Fault;
use std::{
    fmt,
    time::{Duration, Instant},
};

/// One fault, from its beginning to what came after it.
#[derive(Clone, Debug)]
pub struct Strike {
    pub fault: Fault,
    /// Since the load began.
    pub at: Duration,
    pub lasted: Duration,
    /// How somebody noticed it; `None` is no proof of anything.
    pub seen: Option<String>,
    pub healed: Instant,
    /// From then until sagas ended at the earlier pace again; `None` when they did not in time.
    pub recovery: Option<Duration>,
}

impl fmt::Display for Strike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Strike { fault, at, lasted, seen, recovery, .. } = self;
        let fault = fault.to_string();
        let seen = seen.as_deref().unwrap_or("NOT NOTICED by anybody");
        write!(
            f,
            "{:>7.1} s  {fault:<34} for {:>4.1} s  ",
            at.as_secs_f64(),
            lasted.as_secs_f64()
        )?;
        match recovery {
            Some(time) => write!(f, "recovered in {:>4.1} s  {seen}", time.as_secs_f64()),
            None => write!(f, "NOT RECOVERED  {seen}"),
        }
    }
}
