//! The span that a task is in, where one task serves one thing: a request, a call.

use super::{Context, Span};
use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

tokio::task_local!(static AMBIENT: Arc<Ambient>);

struct Ambient {
    context: Context,
    notes: Mutex<Vec<(&'static str, String)>>,
}

/// Of the span that this task is in.
pub fn current() -> Option<Context> {
    AMBIENT.try_with(|ambient| ambient.context).ok()
}

/// Adds to the span that this task is in.
pub fn note(key: &'static str, value: impl ToString) {
    let _ = AMBIENT.try_with(|ambient| {
        let mut notes = ambient.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.push((key, value.to_string()));
    });
}

impl Span {
    /// Runs `work` in this span: what it begins is below it.
    pub async fn surround<W: Future>(&mut self, work: W) -> W::Output {
        let Some(context) = self.context() else { return work.await };
        let ambient = Arc::new(Ambient { context, notes: Mutex::default() });
        let done = AMBIENT.scope(Arc::clone(&ambient), work).await;
        let mut notes = ambient.notes.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in notes.drain(..) {
            self.set(key, &value);
        }
        done
    }
}
