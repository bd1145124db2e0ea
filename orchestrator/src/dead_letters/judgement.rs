//! Whether a dead letter may be replayed, given what its saga waits for now. Pure.

use super::letter::Kind;
use crate::stored::{Step, Steps};
use contracts::{Leg, participant_of};
use saga_core::{Catalogue, LegSpec};
use sqlx::{FromRow, types::Json};
use uuid::Uuid;

/// As much of a dead letter as decides.
#[derive(Clone, Debug, FromRow)]
pub struct About {
    pub id: Uuid,
    pub participant: String,
    pub message_kind: String,
    #[sqlx(rename = "type")]
    pub message_type: Option<String>,
    pub saga_id: Option<Uuid>,
    pub definition: Option<String>,
    pub step: Option<String>,
    pub leg: Option<String>,
    pub unreadable: Option<String>,
    pub state: String,
    pub remark: Option<String>,
    pub replays: i32,
}

/// As much of a saga as decides.
#[derive(Clone, Debug, FromRow)]
pub struct Standing {
    pub id: Uuid,
    pub definition: String,
    pub version: i32,
    pub state: String,
    pub steps: Json<Steps>,
}

/// Why replaying it is refused, whatever became of the letter itself; `None` when somebody waits
/// for what it would do.
pub fn refusal(catalogue: &Catalogue, letter: &About, saga: Option<&Standing>) -> Option<String> {
    if let Some(why) = &letter.unreadable {
        return Some(format!("no participant could read it: {why}"));
    }
    match Kind::parse(&letter.message_kind) {
        Kind::Unknown => Some("it does not tell which queue it was taken from".to_owned()),
        Kind::Reply => Some(
            "nobody answers in a participant's place; its saga asks again, and the participant \
             answers as before"
                .to_owned(),
        ),
        // Subscribers know an event that they have had by its id.
        Kind::Event => None,
        Kind::Start => start(catalogue, letter, saga),
        Kind::Command => command(catalogue, letter, saga).err(),
    }
}

/// Whether its effect can be seen: the saga has got past what the letter asked for.
pub fn is_answered(letter: &About, saga: Option<&Standing>) -> bool {
    match Kind::parse(&letter.message_kind) {
        Kind::Start => saga.is_some(),
        Kind::Command => saga.is_some_and(|saga| !waits(letter, saga)),
        Kind::Event | Kind::Reply | Kind::Unknown => false,
    }
}

fn start(catalogue: &Catalogue, letter: &About, saga: Option<&Standing>) -> Option<String> {
    let name = letter.definition.as_deref().unwrap_or_default();
    match saga {
        Some(_) => Some("its saga has begun already".to_owned()),
        None if catalogue.newest(name).is_none() => {
            Some(format!("this build has no definition {name}"))
        }
        None => None,
    }
}

/// How the leg is asked for that the letter is a command of, if its saga waits for that leg.
pub fn command<'a>(
    catalogue: &'a Catalogue,
    letter: &About,
    saga: Option<&Standing>,
) -> Result<&'a LegSpec, String> {
    let Some(saga) = saga else { return Err("there is no such saga".to_owned()) };
    let (Some(leg), Some(name)) = (leg_of(letter), letter.step.as_deref()) else {
        return Err("it names no leg of a step".to_owned());
    };
    let version = u16::try_from(saga.version).unwrap_or_default();
    let Some(definition) = catalogue.get(&saga.definition, version) else {
        return Err(format!("this build has no definition {} v{version}", saga.definition));
    };
    let plan = definition.plan();
    let spec = plan.index(name).and_then(|step| plan.leg(step, leg));
    let kind = letter.message_type.as_deref().unwrap_or_default();
    let spec =
        spec.filter(|spec| spec.command == kind && participant_of(kind) == letter.participant);
    let Some(spec) = spec else {
        return Err(format!("its saga has no step {name} with {kind} as its {leg}"));
    };
    if waits(letter, saga) {
        return Ok(spec);
    }
    Err(match (saga.steps.0.get(name), leg) {
        _ if matches!(saga.state.as_str(), "completed" | "compensated") => {
            format!("its saga has ended: it is {}", saga.state)
        }
        (Some(Step::Undoing(_) | Step::Undone), Leg::Action) => {
            format!("its saga has gone back: {name} is undone")
        }
        (Some(_), _) => format!("its saga does not wait for it: {name} is answered"),
        (None, _) => format!("its saga has not asked for {name}"),
    })
}

fn leg_of(letter: &About) -> Option<Leg> {
    letter.leg.as_deref()?.parse().ok()
}

/// Whether the saga waits for the leg, in whatever attempt: all attempts are one request.
fn waits(letter: &About, saga: &Standing) -> bool {
    let step = letter.step.as_deref().and_then(|step| saga.steps.0.get(step));
    matches!(
        (step, leg_of(letter)),
        (Some(Step::Acting(_)), Some(Leg::Action))
            | (Some(Step::Undoing(_)), Some(Leg::Compensation))
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stored::{UnderWay, Word};
    use saga_core::Patience;
    use serde_json::json;

    fn under_way(flight: Word) -> UnderWay {
        UnderWay { attempt: 3, left: 0, flight, wake: None }
    }

    fn saga(state: &str, step: Option<(&str, Step)>) -> Standing {
        let steps = step.into_iter().map(|(name, step)| (name.to_owned(), step)).collect();
        let (id, definition) = (Uuid::nil(), "place-order".to_owned());
        Standing { id, definition, version: 1, state: state.to_owned(), steps: Json(steps) }
    }

    fn letter(leg: &str) -> About {
        let (kind, leg) = match leg {
            "action" => ("inventory.reserve-stock", "action"),
            _ => ("inventory.release-stock", "compensation"),
        };
        About {
            id: Uuid::nil(),
            participant: "inventory".into(),
            message_kind: "command".into(),
            message_type: Some(kind.into()),
            saga_id: Some(Uuid::nil()),
            definition: Some("place-order".into()),
            step: Some("reserve-stock".into()),
            leg: Some(leg.into()),
            unreadable: None,
            state: "open".into(),
            remark: None,
            replays: 0,
        }
    }

    fn refused(letter: &About, saga: Option<&Standing>) -> String {
        refusal(&sagas::catalogue(Patience::default()), letter, saga).unwrap_or_default()
    }

    #[test]
    fn a_command_is_replayed_only_while_its_leg_is_waited_for() {
        let reserve = |step| Some(("reserve-stock", step));
        let sent = || under_way(Word::Sent);
        for (leg, saga, why) in [
            ("action", saga("running", reserve(Step::Acting(sent()))), ""),
            ("action", saga("running", reserve(Step::Acting(under_way(Word::Parked)))), ""),
            ("action", saga("running", reserve(Step::Acting(under_way(Word::Resting)))), ""),
            ("compensation", saga("compensating", reserve(Step::Undoing(sent()))), ""),
            ("action", saga("running", reserve(Step::Done)), "does not wait for it"),
            ("action", saga("compensating", reserve(Step::Undoing(sent()))), "gone back"),
            ("action", saga("compensating", reserve(Step::Undone)), "gone back"),
            ("action", saga("running", None), "has not asked"),
            ("compensation", saga("running", reserve(Step::Acting(sent()))), "does not wait"),
            ("compensation", saga("compensating", reserve(Step::Undone)), "does not wait for it"),
            ("action", saga("completed", reserve(Step::Done)), "has ended: it is completed"),
            ("compensation", saga("compensated", reserve(Step::Undone)), "has ended"),
        ] {
            let letter = letter(leg);
            let said = refused(&letter, Some(&saga));
            let right = if why.is_empty() { said.is_empty() } else { said.contains(why) };
            assert!(right, "{leg} of {saga:?}: {said:?}, not {why:?}");
            assert_eq!(is_answered(&letter, Some(&saga)), !why.is_empty());
        }
        assert_eq!(refused(&letter("action"), None), "there is no such saga");
        assert!(!is_answered(&letter("action"), None));
    }

    #[test]
    fn what_no_saga_would_ask_for_is_never_sent() {
        let saga = saga("running", Some(("reserve-stock", Step::Acting(under_way(Word::Sent)))));
        let good = letter("action");
        let refund = About { message_type: Some("payment.refund".into()), ..good.clone() };
        let elsewhere = About { participant: "payment".into(), ..good.clone() };
        let nowhere = About { step: None, ..good.clone() };
        let odd = About { message_kind: "unknown".into(), ..good.clone() };
        let reply = About { message_kind: "reply".into(), ..good.clone() };
        let poison = About { unreadable: Some("poison-not-json: EOF".into()), ..good };
        for letter in [refund, elsewhere, nowhere, odd, reply, poison] {
            assert_ne!(refused(&letter, Some(&saga)), "", "{letter:?}");
        }
        let newer = Standing { version: 9, ..saga };
        assert!(refused(&letter("action"), Some(&newer)).contains("no definition place-order v9"));
    }

    #[test]
    fn a_start_is_replayed_until_its_saga_has_begun() {
        let start = About { message_kind: "start".into(), ..letter("action") };
        assert_eq!(refused(&start, None), "");
        assert!(!is_answered(&start, None));
        let begun = saga("running", None);
        assert_eq!(refused(&start, Some(&begun)), "its saga has begun already");
        assert!(is_answered(&start, Some(&begun)));
        let unheard_of = About { definition: Some("place-bets".into()), ..start };
        assert_eq!(refused(&unheard_of, None), "this build has no definition place-bets");
    }

    #[test]
    fn steps_are_read_as_the_journal_writes_them() {
        let text = json!({ "reserve-stock":
            { "status": "acting", "attempt": 1, "left": 2, "flight": "parked" } });
        let steps: Steps = serde_json::from_value(text).unwrap();
        assert!(waits(
            &letter("action"),
            &Standing { steps: Json(steps), ..saga("running", None) }
        ));
    }
}
