use super::{Context, TRACES, export::Ended};
use std::{borrow::Cow, time::SystemTime};

/// What a span is to the one at its other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Work that nobody else asked for or waits for.
    Internal,
    /// A request that came in, and its answer.
    Server,
    /// A request that went out, and its answer.
    Client,
    /// A message that went out.
    Producer,
    /// A message that came in, and what was done about it.
    Consumer,
}

/// Of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Text(Cow<'static, str>),
    Number(i64),
}

/// Something that takes time, in a trace. Dropped it has ended, and is exported.
///
/// There may be nothing to record: traces are off, or this one is not sampled. Then the calls cost
/// nothing, and its context, if there is one, is still handed on.
#[derive(Debug, Default)]
pub struct Span {
    context: Option<Context>,
    recorded: Option<Box<Recorded>>,
}

#[derive(Debug)]
struct Recorded {
    name: Cow<'static, str>,
    kind: Kind,
    parent: Option<u64>,
    began: SystemTime,
    attributes: Vec<(&'static str, Value)>,
    links: Vec<Context>,
    error: Option<String>,
}

impl Span {
    /// Below `parent`; without one it begins a trace, if the sampler wants it.
    pub fn begin<N: Into<Cow<'static, str>>>(
        kind: Kind,
        parent: Option<Context>,
        name: impl FnOnce() -> N,
    ) -> Span {
        let Some(traces) = TRACES.get() else { return Span::default() };
        let mut context = match parent {
            Some(parent) => parent.next(),
            None => Context::fresh(),
        };
        context.sampled = traces.settings.samples(context.trace, parent);
        Span::made(context, parent, kind, name)
    }

    /// Below `parent`; without one there is none.
    pub fn below<N: Into<Cow<'static, str>>>(
        kind: Kind,
        parent: Option<Context>,
        name: impl FnOnce() -> N,
    ) -> Span {
        match parent {
            Some(_) => Span::begin(kind, parent, name),
            None => Span::default(),
        }
    }

    /// Below the span that this task is in.
    pub fn here<N: Into<Cow<'static, str>>>(kind: Kind, name: impl FnOnce() -> N) -> Span {
        Span::below(kind, super::current(), name)
    }

    /// A context that was made before, as it was handed on.
    pub fn with_context<N: Into<Cow<'static, str>>>(
        kind: Kind,
        context: Context,
        parent: Context,
        name: impl FnOnce() -> N,
    ) -> Span {
        match super::is_on() {
            true => Span::made(context, Some(parent), kind, name),
            false => Span::default(),
        }
    }

    fn made<N: Into<Cow<'static, str>>>(
        context: Context,
        parent: Option<Context>,
        kind: Kind,
        name: impl FnOnce() -> N,
    ) -> Span {
        let recorded = context.sampled.then(|| {
            Box::new(Recorded {
                name: name().into(),
                kind,
                parent: parent.map(|parent| parent.span),
                began: SystemTime::now(),
                attributes: Vec::with_capacity(12),
                links: Vec::new(),
                error: None,
            })
        });
        Span { context: Some(context), recorded }
    }

    /// To be handed on; `None` when traces are off.
    pub fn context(&self) -> Option<Context> {
        self.context
    }

    /// To be handed on instead of `given`, which is handed on where there is no span.
    pub fn carry(&self, given: Option<String>) -> Option<String> {
        match self.context {
            Some(own) if self.is_recorded() || parsed(&given).is_none() => Some(own.to_string()),
            _ => given,
        }
    }

    /// Whether it is worth to find out what could be said of it.
    pub fn is_recorded(&self) -> bool {
        self.recorded.is_some()
    }

    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        if let Some(recorded) = &mut self.recorded {
            recorded.attributes.push((key, value.into()));
        }
    }

    pub fn began_at(&mut self, at: SystemTime) {
        if let Some(recorded) = &mut self.recorded {
            recorded.began = at;
        }
    }

    /// To something that led here and is not its parent.
    pub fn link(&mut self, to: Option<Context>) {
        if let (Some(recorded), Some(to)) = (&mut self.recorded, to) {
            recorded.links.push(to);
        }
    }

    /// It went wrong. `kind` is one of few words.
    pub fn fail(&mut self, kind: &'static str, error: impl FnOnce() -> String) {
        if let Some(recorded) = &mut self.recorded {
            recorded.attributes.push(("error.type", kind.into()));
            recorded.error = Some(error());
        }
    }

    /// Ends it at another time than now.
    pub fn end_at(mut self, at: SystemTime) {
        self.export(at);
    }

    fn export(&mut self, ended: SystemTime) {
        let (Some(recorded), Some(context)) = (self.recorded.take(), self.context) else { return };
        let Recorded { name, kind, parent, began, attributes, links, error } = *recorded;
        if let Some(traces) = TRACES.get() {
            let parent = parent.unwrap_or_default();
            traces.exporter.take(Ended {
                name,
                kind,
                context,
                parent,
                began,
                ended: ended.max(began),
                attributes,
                links,
                error,
            });
        }
    }
}

fn parsed(traceparent: &Option<String>) -> Option<Context> {
    traceparent.as_deref().and_then(Context::parse)
}

impl Drop for Span {
    fn drop(&mut self) {
        if self.recorded.is_some() {
            self.export(SystemTime::now());
        }
    }
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Value::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(Cow::Owned(text))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Number(number)
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Value::Number(i64::from(number))
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Value::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}
