use crate::erased::Said;
use contracts::{CommandEnvelope, EventEnvelope, Leg, Outcome, SagaId};
use std::collections::HashMap;
use store::inbox::{Answer, Claim, Key, Row};

/// What a command is answered with, now and whenever it comes again.
#[derive(Clone, Debug)]
pub struct Answered {
    /// Done or refused; a fault is no answer.
    pub outcome: Outcome,
    /// JSON: the reply or the refusal.
    pub body: String,
    pub events: Vec<EventEnvelope>,
    /// From the inbox: the handler was not called.
    pub duplicate: bool,
}

impl Answered {
    pub(crate) fn new(said: Said, events: Vec<EventEnvelope>) -> Self {
        let events = if said.outcome == Outcome::Done { events } else { Vec::new() };
        Answered { outcome: said.outcome, body: said.body, events, duplicate: false }
    }

    /// To commands of as many sagas that were handled at one go.
    pub(crate) fn many(
        commands: &[&CommandEnvelope],
        said: Vec<Said>,
        events: Vec<EventEnvelope>,
    ) -> Vec<Self> {
        let mut told: HashMap<SagaId, Vec<EventEnvelope>> = HashMap::new();
        for event in events {
            told.entry(event.saga).or_default().push(event);
        }
        let answered = commands.iter().zip(said).map(|(command, said)| {
            let mut events = told.remove(&command.saga).unwrap_or_default();
            for event in &mut events {
                event.traceparent.clone_from(&command.traceparent);
            }
            Answered::new(said, events)
        });
        answered.collect()
    }

    /// To a compensation that finds nothing to undo.
    pub(crate) fn nothing_to_undo() -> Self {
        let body = "null".to_owned();
        Answered { outcome: Outcome::Done, body, events: Vec::new(), duplicate: false }
    }

    /// To an action that comes after its compensation. There is no refusal of the command's own
    /// kind to give, and nobody waits for one.
    pub(crate) fn too_late() -> Self {
        let body = r#"{"error":"compensated before it was done"}"#.to_owned();
        Answered { outcome: Outcome::Refused, body, events: Vec::new(), duplicate: true }
    }

    /// As the inbox has it.
    pub(crate) fn again(row: &Row) -> Self {
        Answered {
            outcome: row.outcome.unwrap_or(Outcome::Refused),
            body: row.reply.clone().unwrap_or_else(|| "null".to_owned()),
            events: row.events.clone(),
            duplicate: true,
        }
    }

    /// As the inbox keeps it.
    pub(crate) fn stored(&self, key: Key) -> Answer {
        Answer { key, outcome: self.outcome, reply: self.body.clone(), events: self.events.clone() }
    }
}

/// The command's own row.
pub(crate) fn own_key(command: &CommandEnvelope) -> Key {
    Key { saga: command.saga, step: command.step.clone(), leg: command.leg }
}

/// The row of the action of the command's step.
pub(crate) fn action_key(command: &CommandEnvelope) -> Key {
    Key { leg: Leg::Action, ..own_key(command) }
}

/// The rows that a command takes if they are free: its own, and for a compensation the action's
/// too, as a tombstone.
pub(crate) fn claims(command: &CommandEnvelope) -> Vec<Claim> {
    let own = Claim { key: own_key(command), tombstone: false };
    match command.leg {
        Leg::Action => vec![own],
        Leg::Compensation => vec![Claim { key: action_key(command), tombstone: true }, own],
    }
}
