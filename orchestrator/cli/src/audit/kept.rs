//! Dead letters that the orchestrators have collected: each is accounted for.

use super::{
    error::Error,
    invariant::{Finding, Invariant},
    letters::Letter,
    removed::Removed,
    snapshot::Snapshot,
};
use sqlx::FromRow;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// A message may die of a saga that has ended, so much later.
const LATE: Duration = Duration::days(1);

pub(crate) const OF_A_KEPT_LETTER: &[Invariant<Kept>] = &[
    Invariant {
        name: "kept-letter-says-why",
        says: "every dead letter that was collected carries the reason why it is one",
        needs: &[],
        broken: says_why,
    },
    Invariant {
        name: "kept-letter-has-its-saga",
        says: "every dead letter that was collected belongs to a saga that exists or was removed after its time, or could not be read at all (poison), or was discarded",
        needs: &[],
        broken: has_its_saga,
    },
    Invariant {
        name: "kept-letter-is-accounted-for",
        says: "no dead letter was replayed or discarded without an audit row that says who asked for it and why",
        needs: &[],
        broken: is_accounted_for,
    },
];

/// A row of the table, and what the rest of the journal knows of it.
#[derive(Clone, Debug, FromRow)]
pub(crate) struct Kept {
    pub id: Uuid,
    pub participant: String,
    pub message_kind: String,
    pub message_id: Option<String>,
    #[sqlx(rename = "type")]
    pub kind: Option<String>,
    pub saga_id: Option<Uuid>,
    /// It has one, or may have had one that ended long ago and was removed.
    pub known: bool,
    pub dead_at: OffsetDateTime,
    pub reason: String,
    pub error: String,
    pub unreadable: bool,
    pub state: String,
    pub replays: i32,
    pub audited: bool,
}

const ALL: &str = "
    SELECT id, participant, message_kind, message_id, type, saga_id, reason, error, state, replays,
           unreadable IS NOT NULL AS unreadable,
           dead_at, EXISTS (SELECT FROM saga WHERE saga.id = letter.saga_id) AS known,
           EXISTS (SELECT FROM operator_action AS action
                    WHERE action.dead_letter = letter.id AND accepted)
           OR EXISTS (SELECT FROM dead_letter_replay_item AS item
                       WHERE item.dead_letter_id = letter.id AND outcome <> 'waiting')
           OR (state = 'discarded'
               AND EXISTS (SELECT FROM operator_action AS action
                            WHERE verb = 'discard' AND filter IS NOT NULL
                              AND action.reason = letter.remark)) AS audited
      FROM dead_letter AS letter";

/// One after the other, through `each`.
pub(crate) async fn each(journal: &mut Snapshot, mut each: impl FnMut(Kept)) -> Result<(), Error> {
    let removed = Removed::read(journal).await?;
    journal
        .each(ALL, |mut letter: Kept| {
            letter.known |= removed.covers(letter.dead_at - LATE);
            each(letter);
        })
        .await
}

impl Kept {
    /// As it is listed, unless nothing is left to be done about it.
    pub(crate) fn listed(&self) -> Option<Letter> {
        let lost = self.message_kind == "start" && self.state != "replayed";
        (self.state == "open" || lost).then(|| Letter {
            queue: format!("{}.dead-letters (collected)", self.participant),
            message: self.message_id.clone(),
            kind: self.kind.clone(),
            saga: self.saga_id.map(|saga| saga.to_string()),
            known: self.known,
            at: Some(self.dead_at),
            reason: Some(self.reason.clone()),
            error: Some(self.error.clone()),
        })
    }

    fn about(&self) -> String {
        let message = self.message_id.as_deref().unwrap_or("a message without id");
        format!("{message}, dead letter {} of {}", self.id, self.participant)
    }
}

fn says_why(letter: &Kept) -> Vec<Finding> {
    match letter.reason.as_str() {
        "" | "unknown" => {
            vec![Finding::new(letter.about(), format!("{:?}, no reason", letter.kind))]
        }
        _ => Vec::new(),
    }
}

fn has_its_saga(letter: &Kept) -> Vec<Finding> {
    let poison = letter.unreadable || letter.reason.starts_with("poison-");
    match letter.known || poison || letter.state == "discarded" {
        true => Vec::new(),
        false => {
            let seen = format!("saga {:?}, reason {:?}", letter.saga_id, letter.reason);
            vec![Finding::new(letter.about(), seen)]
        }
    }
}

fn is_accounted_for(letter: &Kept) -> Vec<Finding> {
    let touched = letter.replays > 0 || letter.state == "discarded";
    match touched && !letter.audited {
        true => {
            let Kept { state, replays, .. } = letter;
            let seen = format!("it is {state} and was replayed {replays} times, by nobody");
            vec![Finding::new(letter.about(), seen)]
        }
        false => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> Kept {
        Kept {
            id: Uuid::nil(),
            participant: "payment".into(),
            message_kind: "command".into(),
            message_id: None,
            kind: None,
            saga_id: Some(Uuid::nil()),
            known: true,
            dead_at: OffsetDateTime::UNIX_EPOCH,
            reason: "fault".into(),
            error: String::new(),
            unreadable: false,
            state: "open".into(),
            replays: 0,
            audited: false,
        }
    }

    #[test]
    fn a_collected_letter_is_accounted_for_by_its_reason_its_saga_and_who_saw_to_it() {
        let broken = |letter: &Kept| {
            let all = OF_A_KEPT_LETTER.iter().filter(|it| !(it.broken)(letter).is_empty());
            all.map(|it| it.name).collect::<Vec<_>>()
        };
        let lost = Kept { known: false, ..kept() };
        let state = |state: &str| Kept { state: state.into(), ..lost.clone() };
        for (letter, found) in [
            (kept(), None),
            (lost.clone(), Some("kept-letter-has-its-saga")),
            (Kept { reason: "poison-not-json".into(), ..lost.clone() }, None),
            (Kept { unreadable: true, ..lost.clone() }, None),
            (Kept { reason: "unknown".into(), ..kept() }, Some("kept-letter-says-why")),
            (state("discarded"), Some("kept-letter-is-accounted-for")),
            (Kept { audited: true, ..state("discarded") }, None),
            (Kept { replays: 1, ..kept() }, Some("kept-letter-is-accounted-for")),
            (Kept { replays: 1, audited: true, ..kept() }, None),
        ] {
            assert_eq!(broken(&letter), Vec::from_iter(found), "{letter:?}");
        }
    }

    #[test]
    fn only_what_is_left_to_be_done_is_listed() {
        assert!(kept().listed().is_some());
        for state in ["replaying", "replayed", "refused", "discarded"] {
            assert!(Kept { state: state.into(), ..kept() }.listed().is_none(), "{state}");
        }
        let start = Kept { message_kind: "start".into(), state: "refused".into(), ..kept() };
        assert!(start.listed().is_some(), "its order waits for nothing");
    }
}
