//! What a batch leaves in the traces of its sagas.
//!
//! All that is sent for a saga is below one span, the one in which its start was handled: its
//! context is kept in the saga's row, so that a wake-up, another instance or a restart goes on in
//! the same trace, and what a killed process had not exported yet leaves no hole in the middle.
//! What a command follows from, a reply or a wake-up, is linked.

use crate::engine::{Advanced, Occurrence, Verdict};
use contracts::{CommandEnvelope, SagaId};
use messaging::{
    Incoming, Outgoing,
    spans::{self, About, Transaction},
};
use runtime::trace::{self, Context, Kind, Span};
use std::{collections::HashMap, time::SystemTime};

/// One span for each occurrence, until it is dropped.
pub(crate) struct Trail {
    began: SystemTime,
    spans: Vec<Span>,
}

impl Trail {
    pub(crate) fn begin() -> Trail {
        Trail { began: SystemTime::now(), spans: Vec::new() }
    }

    /// The next occurrence. A saga that starts keeps the context of its span.
    pub(crate) fn add(&mut self, occurrence: &mut Occurrence, incoming: &Incoming) {
        let Occurrence::Start(start) = occurrence else {
            return self.spans.push(Span::default());
        };
        let span = spans::process(incoming, None);
        start.traceparent = span.carry(start.traceparent.take());
        self.spans.push(span);
    }

    /// They are stored. `sources` is empty if they did not come as messages.
    pub(crate) fn stored(
        &mut self,
        batch: &[Occurrence],
        sources: &[&Incoming],
        advanced: &Advanced,
        transaction: Transaction,
    ) {
        if !trace::is_on() {
            return;
        }
        self.spans.resize_with(batch.len(), Span::default);
        for (index, occurrence) in batch.iter().enumerate() {
            let anchor = advanced.traces.get(index).and_then(|trace| trace.as_deref());
            let anchor = spans::context(anchor);
            let verdict = advanced.verdicts.get(index);
            let span = &mut self.spans[index];
            match (occurrence, sources.get(index)) {
                (Occurrence::Reply(_) | Occurrence::ReplyAgain(_), Some(incoming)) => {
                    // One that carries no trace belongs to its saga's all the same.
                    *span = spans::process(incoming, anchor);
                    span.began_at(self.began);
                }
                (Occurrence::Wake(saga), _) if matches!(verdict, Some(Verdict::Moved)) => {
                    *span = Span::below(Kind::Internal, anchor, || "wake");
                    span.began_at(self.began);
                    match advanced.commands.iter().find(|command| command.saga == *saga) {
                        Some(command) => About::from(command).set(span),
                        None => About::saga(*saga).set(span),
                    }
                }
                _ => {}
            }
            if let Some(Verdict::Ignored(why)) = verdict {
                span.set("saga.ignored", why.as_str());
            }
        }
        transaction.committed(batch.iter().zip(&self.spans).map(|(occurrence, span)| {
            let about = match occurrence {
                Occurrence::Reply(reply) | Occurrence::ReplyAgain(reply) => About::from(reply),
                other => About::saga(other.saga()),
            };
            (span.context(), about)
        }));
    }

    pub(crate) fn of(&self, index: usize) -> Option<Context> {
        self.spans.get(index).and_then(Span::context)
    }

    /// The messages of commands, linked to what they follow from.
    pub(crate) fn commands(
        &self,
        batch: &[Occurrence],
        commands: &[CommandEnvelope],
    ) -> Vec<Outgoing> {
        let causes: HashMap<SagaId, Context> = match trace::is_on() {
            true => batch
                .iter()
                .zip(&self.spans)
                .filter_map(|(occurrence, span)| Some((occurrence.saga(), span.context()?)))
                .collect(),
            false => HashMap::new(),
        };
        commands
            .iter()
            .map(|command| {
                let cause = causes.get(&command.saga).copied();
                Outgoing::command_because_of(command, cause)
            })
            .collect()
    }
}
