use super::{Context, TRACES, proto::Body};
use std::time::SystemTime;

/// What a span is to the one at its other end; numbered as OTLP has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Work that nobody else asked for or waits for.
    Internal = 1,
    /// A request that came in, and its answer.
    Server = 2,
    /// A request that went out, and its answer.
    Client = 3,
    /// A message that went out.
    Producer = 4,
    /// A message that came in, and what was done about it.
    Consumer = 5,
}

/// Of an attribute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    Text(&'a str),
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
    body: Body,
    parent: Option<u64>,
    began: SystemTime,
    failed: bool,
}

impl Span {
    /// Below `parent`; without one it begins a trace, if the sampler wants it.
    pub fn begin<N: AsRef<str>>(
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
    pub fn below<N: AsRef<str>>(
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
    pub fn here<N: AsRef<str>>(kind: Kind, name: impl FnOnce() -> N) -> Span {
        Span::below(kind, super::current(), name)
    }

    /// A context that was made before, as it was handed on.
    pub fn with_context<N: AsRef<str>>(
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

    fn made<N: AsRef<str>>(
        context: Context,
        parent: Option<Context>,
        kind: Kind,
        name: impl FnOnce() -> N,
    ) -> Span {
        let recorded = context.sampled.then(|| {
            Box::new(Recorded {
                body: Body::new(name().as_ref(), kind),
                parent: parent.map(|parent| parent.span),
                began: SystemTime::now(),
                failed: false,
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

    pub fn set<'a>(&mut self, key: &str, value: impl Into<Value<'a>>) {
        if let Some(recorded) = &mut self.recorded {
            recorded.body.attribute(key, &value.into());
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
            recorded.body.link(to);
        }
    }

    /// It went wrong; the first word on that counts. `kind` is one of few words.
    pub fn fail(&mut self, kind: &str, error: impl FnOnce() -> String) {
        if let Some(recorded) = self.recorded.as_mut().filter(|recorded| !recorded.failed) {
            recorded.failed = true;
            recorded.body.attribute("error.type", &Value::Text(kind));
            recorded.body.fail(&error());
        }
    }

    /// Ends it at another time than now.
    pub fn end_at(mut self, at: SystemTime) {
        self.export(at);
    }

    fn export(&mut self, ended: SystemTime) {
        let (Some(recorded), Some(context)) = (self.recorded.take(), self.context) else { return };
        let Recorded { mut body, parent, began, .. } = *recorded;
        if let Some(traces) = TRACES.get() {
            body.end(context, parent, began, ended.max(began));
            traces.exporter.take(&body);
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

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Value::Text(text)
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Value::Text(text)
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Value::Number(number)
    }
}

impl From<u16> for Value<'_> {
    fn from(number: u16) -> Self {
        Value::Number(i64::from(number))
    }
}

impl From<usize> for Value<'_> {
    fn from(number: usize) -> Self {
        Value::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}
