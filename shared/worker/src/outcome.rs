use contracts::Command;
use std::{error::Error as StdError, fmt};

/// What a handler answers: the reply, or why there is none.
pub type Outcome<C> = Result<<C as Command>::Reply, NotDone<<C as Command>::Refusal>>;

/// Why a command was not done. The two differ in everything that follows.
#[derive(Debug)]
pub enum NotDone<R> {
    /// A business no. What the handler wrote is undone, the answer is remembered, and nothing
    /// will be done for this command even if it comes again.
    Refused(R),
    /// A technical could-not. Nothing is remembered; the command is tried again.
    Fault(Fault),
}

impl<R> From<Fault> for NotDone<R> {
    fn from(fault: Fault) -> Self {
        NotDone::Fault(fault)
    }
}

impl<R> From<sqlx::Error> for NotDone<R> {
    fn from(error: sqlx::Error) -> Self {
        NotDone::Fault(error.into())
    }
}

impl<R> From<serde_json::Error> for NotDone<R> {
    fn from(error: serde_json::Error) -> Self {
        NotDone::Fault(error.into())
    }
}

/// A technical could-not, with its cause.
#[derive(Debug)]
pub struct Fault {
    nature: Nature,
    source: Box<dyn StdError + Send + Sync>,
}

/// What a fault asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nature {
    /// The database is away: wait for it. Nothing is held against the command.
    Infrastructure,
    /// The transaction was unlucky: do it again from its beginning.
    Retriable,
    /// May pass by itself.
    Transient,
    /// The same again for ever.
    Permanent,
    /// The body is not what the command's type says.
    Unreadable,
}

impl Fault {
    /// One that may pass: it is tried again, at once, then later, until its time is up.
    pub fn transient(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Fault { nature: Nature::Transient, source: source.into() }
    }

    /// One that no retry will help: the command becomes a dead letter.
    pub fn permanent(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Fault { nature: Nature::Permanent, source: source.into() }
    }

    pub(crate) fn infrastructure(source: sqlx::Error) -> Self {
        Fault { nature: Nature::Infrastructure, source: source.into() }
    }

    /// Someone else's long turn is not the fault of the commands that wait for theirs.
    pub(crate) fn no_turn(error: sqlx::Error) -> Self {
        if store::is_retriable(&error) { Fault::infrastructure(error) } else { error.into() }
    }

    pub(crate) fn unreadable(error: serde_json::Error) -> Self {
        Fault { nature: Nature::Unreadable, source: contracts::without_values(&error).into() }
    }

    /// Whether trying again may help.
    pub fn is_transient(&self) -> bool {
        !matches!(self.nature, Nature::Permanent | Nature::Unreadable)
    }

    pub(crate) fn nature(&self) -> Nature {
        self.nature
    }

    /// The error and its causes, outermost first.
    pub fn chain(&self) -> String {
        let mut text = self.source.to_string();
        let mut cause = self.source.source();
        while let Some(error) = cause {
            let more = error.to_string();
            // Some errors repeat their cause in their own text.
            if !text.ends_with(&more) {
                text.push_str(": ");
                text.push_str(&more);
            }
            cause = error.source();
        }
        text
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.source, f)
    }
}

impl StdError for Fault {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.source()
    }
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        let nature = if store::is_infrastructure(&error) {
            Nature::Infrastructure
        } else if store::is_retriable(&error) {
            Nature::Retriable
        } else if store::failure::is_permanent(&error) {
            Nature::Permanent
        } else {
            Nature::Transient
        };
        Fault { nature, source: error.into() }
    }
}

impl From<runtime::outside::Error> for Fault {
    fn from(error: runtime::outside::Error) -> Self {
        if error.is_transient() { Fault::transient(error) } else { Fault::permanent(error) }
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Fault::permanent(contracts::without_values(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_row_may_pass_and_a_column_that_does_not_exist_may_not() {
        assert!(Fault::from(sqlx::Error::RowNotFound).is_transient());
        assert!(!Fault::from(sqlx::Error::ColumnNotFound("free".into())).is_transient());
    }

    #[test]
    fn an_absent_database_is_held_against_nobody() {
        assert_eq!(Fault::from(sqlx::Error::PoolTimedOut).nature(), Nature::Infrastructure);
    }

    #[test]
    fn the_chain_names_every_cause_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("the carrier did not answer")]
        struct Outer(#[source] std::io::Error);
        let fault = Fault::transient(Outer(std::io::Error::other("connection reset")));
        assert_eq!(fault.chain(), "the carrier did not answer: connection reset");
    }
}
