//! The auditor: reads the journal, every service's database, the books of the gateway and the
//! carrier and the dead letters, and reports each promise that is broken, with the ids.
//!
//! It only reads, and it takes the system as it is: in use. Two rules keep it from crying wolf:
//!
//! - **Order of reading.** Each database is read in one snapshot, the journal's first. Whatever the
//!   journal claims has then happened before the participants were looked at. What is there
//!   without a saga is looked up once more in the journal of now.
//! - **Settling.** What was found broken is looked at again, in new snapshots, until it is whole or
//!   [`Options::settle`] is over: an event that is still on its way is no violation. The rest is
//!   reported only if it was broken at every look.
//!
//! It walks all ids in pages, so it needs the same memory for ten sagas and for a million.
//! [`registry`] lists the invariants; each is a named function in the file of its area.

mod agreement;
mod dossier;
mod error;
mod events;
mod history;
mod invariant;
mod kept;
mod ledger;
mod letters;
mod money;
mod orders;
mod page;
mod parcels;
mod registry;
mod removed;
mod report;
mod settling;
mod snapshot;
mod sources;
mod stock;
mod vouching;
mod walk;

pub use error::Error;
pub use invariant::{Need, Violation};
pub use registry::{Listed, list};
pub use report::{NotAudited, Report};
pub use sources::{SERVICES, Sources};

use settling::Candidates;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Between two looks at what was found broken.
const BETWEEN: Duration = Duration::from_millis(500);

#[derive(Clone, Debug)]
pub struct Options {
    /// Only what has begun at most this long ago.
    pub since: Option<Duration>,
    /// How long something must stay broken to be reported.
    pub settle: Duration,
    /// As `SAGA_STEP_ATTEMPTS` of the orchestrators: histories are replayed with the budgets that
    /// they were made with.
    pub attempts: Option<u8>,
}

impl Default for Options {
    fn default() -> Self {
        Options { since: None, settle: Duration::from_secs(10), attempts: None }
    }
}

/// Audits once. Violations are in the report; an error means that there is none to be trusted.
pub async fn run(sources: &Sources, options: &Options) -> Result<Report, Error> {
    let began = Instant::now();
    let mut look = walk::everything(sources, options).await?;
    let mut report = Report::of(sources, &mut look);
    let mut candidates = Candidates::new(look.violations);
    while !candidates.is_empty() && began.elapsed() < options.settle {
        sleep(BETWEEN.min(options.settle.saturating_sub(began.elapsed()))).await;
        let mut again = walk::again(sources, options, &candidates).await?;
        report.update(&mut again);
        candidates.keep_only(&again.violations);
    }
    report.conclude(candidates.into_violations());
    Ok(report)
}
