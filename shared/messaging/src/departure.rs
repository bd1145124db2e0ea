//! A message's own span: from the decision to send it until it is confirmed. Its context is what
//! the message carries as `traceparent`, so that whoever handles it is below it.

use crate::{DEAD_LETTERS, Outgoing, dead_letter::RETRY_COUNT, spans, wire::TRACE};
use contracts::CommandEnvelope;
use runtime::trace::{self, Context, Kind, Span};
use std::time::SystemTime;

/// In which a command was sent first, on what is a retry or a replay of it.
pub(crate) const FIRST_TRACE: &str = "first-traceparent";

/// What is to be told of a message once it is confirmed. It is no part of the message: two that
/// differ in this alone are equal, and an outbox does not keep it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Departure(Option<Box<Leaving>>);

#[derive(Clone, Debug)]
struct Leaving {
    own: Context,
    parent: Context,
    since: SystemTime,
    links: Vec<Context>,
}

impl PartialEq for Departure {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Outgoing {
    /// Gives the message a span below `parent`, by default below what it carries now; to be
    /// called before it is sent. `links` lead to what else brought it about.
    ///
    /// Nothing happens where traces are off or this one is not recorded: then the message carries
    /// on what it has.
    pub fn depart(
        &mut self,
        parent: Option<Context>,
        links: impl IntoIterator<Item = Option<Context>>,
    ) {
        if !trace::is_on() {
            return;
        }
        let carried = self.headers.text(TRACE).and_then(Context::parse);
        let Some(parent) = parent.or(carried).filter(|parent| parent.sampled) else { return };
        let id = self.properties.message_id.as_deref().unwrap_or_default();
        let own = sent(parent, &self.key, id);
        if self.is_sent_again()
            && let Some(first) = carried
            && self.headers.text(FIRST_TRACE).is_none()
        {
            self.headers.set(FIRST_TRACE, first.to_string().as_str());
        }
        self.headers.set(TRACE, own.to_string().as_str());
        let links = links.into_iter().flatten().collect();
        self.departure =
            Departure(Some(Box::new(Leaving { own, parent, since: SystemTime::now(), links })));
    }

    /// As [`Self::depart`], for a list.
    #[must_use]
    pub fn departing(mut self, parent: Option<Context>) -> Outgoing {
        self.depart(parent, []);
        self
    }

    /// A command that an orchestrator has decided on because of `cause`. A further attempt is linked
    /// to the one before.
    pub fn command_because_of(command: &CommandEnvelope, cause: Option<Context>) -> Outgoing {
        let mut message = Outgoing::command(command);
        if !trace::is_on() {
            return message;
        }
        let anchor = command.traceparent.as_deref().and_then(Context::parse);
        let before = anchor.filter(|_| command.attempt > 1).map(|anchor| {
            let attempt = command.attempt - 1;
            let before = CommandEnvelope { attempt, body: Vec::new(), ..command.clone() };
            sent(anchor, &message.key, &before.message_id())
        });
        message.depart(None, [before, cause]);
        message
    }

    /// It is confirmed; `unroutable` if nobody has it all the same.
    pub(crate) fn departed(&self, unroutable: bool) {
        let Some(leaving) = &self.departure.0 else { return };
        let name = || format!("send {}", self.key);
        let mut span = Span::with_context(Kind::Producer, leaving.own, leaving.parent, name);
        span.began_at(leaving.since);
        spans::of_message(&mut span, "send", &self.exchange, &self.key, "", &self.properties);
        spans::of_headers(&mut span, &self.headers);
        leaving.links.iter().for_each(|link| span.link(Some(*link)));
        if unroutable {
            span.fail("unroutable", || format!("no queue takes {}", self.key));
        }
    }

    /// A retry, or a dead letter: the command itself was sent before.
    fn is_sent_again(&self) -> bool {
        self.headers.contains(RETRY_COUNT) || self.exchange == DEAD_LETTERS
    }
}

/// The span in which an attempt of a command is sent below `anchor`, whoever sends it, and whenever.
fn sent(anchor: Context, key: &str, message_id: &str) -> Context {
    anchor.named(&[key, message_id])
}
