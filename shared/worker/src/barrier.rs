//! What to do with a command, given what the inbox already holds. Pure.
//!
//! | leg          | own row   | action's row      | verdict |
//! |--------------|-----------|-------------------|---------|
//! | action       | –         |                   | run     |
//! | action       | answer    |                   | replay  |
//! | action       | intent    |                   | resume  |
//! | action       | tombstone, abandoned |        | refuse  |
//! | compensation | answer    | any               | replay  |
//! | compensation | intent    | any               | resume  |
//! | compensation | –         | – (now tombstone) | nothing to undo |
//! | compensation | –         | tombstone         | nothing to undo |
//! | compensation | –         | refused           | nothing to undo |
//! | compensation | –         | done              | run     |
//! | compensation | –         | intent, abandoned | settle  |
//!
//! A row that is not there was claimed by asking, so that nobody else can claim it meanwhile.

use contracts::Outcome;
use runtime::sabotage::Safety;
use store::inbox::Kind;

/// As much of an inbox row as decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seen {
    pub kind: Kind,
    pub outcome: Option<Outcome>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Call the handler; the row is ours.
    Run,
    /// The call to the outside was interrupted: make it again, with the stored intent.
    Resume,
    /// Answer as before.
    Replay,
    /// Refuse without effect: the action has been compensated already.
    Refuse,
    /// Answer done: the action did nothing, and now never will.
    NothingToUndo,
    /// The action may have reached the other side: end its intent, and undo it there by its key.
    Settle,
}

/// For an action whose row is `own`; `None` when it has just been claimed.
pub fn action(own: Option<Seen>) -> Verdict {
    match own.map(|seen| seen.kind) {
        None => Verdict::Run,
        Some(Kind::Answer) if Safety::Inbox.is_off() => Verdict::Run,
        Some(Kind::Answer) => Verdict::Replay,
        Some(Kind::Intent) => Verdict::Resume,
        Some(Kind::Tombstone) if Safety::Barrier.is_off() => Verdict::Run,
        Some(Kind::Tombstone | Kind::Abandoned) => Verdict::Refuse,
    }
}

/// For a compensation whose row is `own` and whose action's row is `action`; `None` when it has
/// just been claimed, the action's as a tombstone.
pub fn compensation(own: Option<Seen>, action: Option<Seen>) -> Verdict {
    match own.map(|seen| seen.kind) {
        Some(Kind::Answer) => return Verdict::Replay,
        Some(Kind::Intent) => return Verdict::Resume,
        // Nothing compensates a compensation, so its row is never one of these.
        Some(Kind::Tombstone | Kind::Abandoned) | None => {}
    }
    match action {
        None => Verdict::NothingToUndo,
        Some(Seen { kind: Kind::Tombstone, .. }) => Verdict::NothingToUndo,
        Some(Seen { kind: Kind::Answer, outcome: Some(Outcome::Refused) }) => {
            Verdict::NothingToUndo
        }
        Some(Seen { kind: Kind::Answer, .. }) => Verdict::Run,
        Some(Seen { kind: Kind::Intent | Kind::Abandoned, .. }) => Verdict::Settle,
    }
}

/// For the result of an action's call, when the row is `own` at the time of recording it.
pub fn record(own: Option<Seen>) -> Verdict {
    match own.map(|seen| seen.kind) {
        Some(Kind::Intent) => Verdict::Run,
        Some(Kind::Answer) => Verdict::Replay,
        Some(Kind::Tombstone | Kind::Abandoned) => Verdict::Refuse,
        // The intent was committed before the call; a row that is gone cannot be trusted to be
        // anything but settled by someone else.
        None => Verdict::Refuse,
    }
}

#[cfg(test)]
mod tests {
    use super::{Verdict::*, *};

    const DONE: Seen = Seen { kind: Kind::Answer, outcome: Some(Outcome::Done) };
    const REFUSED: Seen = Seen { kind: Kind::Answer, outcome: Some(Outcome::Refused) };
    const INTENT: Seen = Seen { kind: Kind::Intent, outcome: None };
    const TOMBSTONE: Seen = Seen { kind: Kind::Tombstone, outcome: Some(Outcome::Refused) };
    const ABANDONED: Seen = Seen { kind: Kind::Abandoned, outcome: Some(Outcome::Refused) };

    #[test]
    fn an_action_runs_once_and_never_after_its_compensation() {
        for (own, verdict) in [
            (None, Run),
            (Some(DONE), Replay),
            (Some(REFUSED), Replay),
            (Some(INTENT), Resume),
            (Some(TOMBSTONE), Refuse),
            (Some(ABANDONED), Refuse),
        ] {
            assert_eq!(action(own), verdict, "{own:?}");
        }
    }

    #[test]
    fn a_compensation_undoes_what_was_done_or_may_have_been_and_nothing_else() {
        for (own, action, verdict) in [
            (None, None, NothingToUndo),
            (None, Some(TOMBSTONE), NothingToUndo),
            (None, Some(REFUSED), NothingToUndo),
            (None, Some(DONE), Run),
            (None, Some(INTENT), Settle),
            (None, Some(ABANDONED), Settle),
        ] {
            assert_eq!(compensation(own, action), verdict, "{action:?}");
        }
    }

    #[test]
    fn a_compensation_that_came_before_goes_on_from_where_it_was() {
        for action in [None, Some(TOMBSTONE), Some(REFUSED), Some(DONE), Some(ABANDONED)] {
            assert_eq!(compensation(Some(DONE), action), Replay, "{action:?}");
            assert_eq!(compensation(Some(INTENT), action), Resume, "{action:?}");
        }
    }

    #[test]
    fn a_result_counts_only_while_its_intent_stands() {
        for (own, verdict) in [
            (Some(INTENT), Run),
            (Some(DONE), Replay),
            (Some(REFUSED), Replay),
            (Some(ABANDONED), Refuse),
            (Some(TOMBSTONE), Refuse),
            (None, Refuse),
        ] {
            assert_eq!(record(own), verdict, "{own:?}");
        }
    }
}
