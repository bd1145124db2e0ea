use std::time::Duration;

/// How long and how often a saga waits, where that is to be other than what its definition says:
/// how a test or an operator shortens it. What is `None` stays as it is defined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Patience {
    /// Of every leg, for one attempt.
    pub timeout: Option<Duration>,
    /// Of every leg.
    pub attempts: Option<u8>,
    /// Of the whole saga, up to its pivot.
    pub deadline: Option<Duration>,
}

impl Patience {
    /// So long for each attempt, and so many of them.
    pub fn of(timeout: Duration, attempts: u8) -> Self {
        Patience { timeout: Some(timeout), attempts: Some(attempts), deadline: None }
    }
}
