//! What happened, in the order of virtual time. Kept only when somebody will read it: a failing
//! seed is run once more for that.

use crate::agenda::Micros;

#[derive(Debug, Default)]
pub struct Timeline {
    kept: bool,
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    at: Micros,
    /// `None` for what concerns all of them.
    saga: Option<usize>,
    text: String,
}

impl Timeline {
    pub fn new(kept: bool) -> Self {
        Timeline { kept, lines: Vec::new() }
    }

    pub fn tell(&mut self, at: Micros, saga: Option<usize>, text: impl FnOnce() -> String) {
        if self.kept {
            self.lines.push(Line { at, saga, text: text() });
        }
    }

    /// Of one saga and of what concerns all; or everything.
    pub fn of(&self, saga: Option<usize>) -> String {
        let of_it = |line: &&Line| saga.is_none() || line.saga.is_none() || line.saga == saga;
        let lines = self.lines.iter().filter(of_it).map(|Line { at, saga, text }| {
            let saga = saga.map_or_else(|| "-".into(), |saga| saga.to_string());
            format!("{:>10}.{:06} s  {saga:>3}  {text}\n", at / 1_000_000, at % 1_000_000)
        });
        lines.collect()
    }
}
