//! The grid, live: rows are legs, columns are faults.

use crate::{
    fault::Fault,
    row::Row,
    runner::{Outcome, Progress},
    selection::Cell,
};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, IsTerminal, Write as _},
    sync::{Mutex, PoisonError},
};

#[derive(Clone, Copy)]
enum Mark {
    Wanted,
    Running,
    Green,
    Red,
}

pub struct Grid<'a> {
    rows: &'a [Row],
    live: bool,
    marks: Mutex<Marks>,
}

struct Marks {
    by_cell: BTreeMap<(usize, Fault), Mark>,
    drawn: usize,
}

impl<'a> Grid<'a> {
    /// `quiet` draws nothing until it is asked to.
    pub fn new(rows: &'a [Row], cells: &[Cell<'_>], quiet: bool) -> Self {
        let by_cell =
            cells.iter().map(|cell| ((cell.row.place, cell.fault), Mark::Wanted)).collect();
        let live = !quiet && io::stdout().is_terminal();
        let grid = Grid { rows, live, marks: Mutex::new(Marks { by_cell, drawn: 0 }) };
        if live {
            grid.redraw();
        }
        grid
    }

    /// Where nobody sees a grid grow, a line for each cell that has ended.
    pub fn hear(&self, progress: &Progress<'_, '_>, quiet: bool) {
        let (cell, mark) = match progress {
            Progress::Begun(cell) => (cell, Mark::Running),
            Progress::Ended(outcome) if outcome.result.is_ok() => (&outcome.cell, Mark::Green),
            Progress::Ended(outcome) => (&outcome.cell, Mark::Red),
        };
        {
            let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
            marks.by_cell.insert((cell.row.place, cell.fault), mark);
        }
        match progress {
            _ if self.live => self.redraw(),
            Progress::Ended(outcome) if !quiet => say(&line(outcome)),
            _ => {}
        }
    }

    fn redraw(&self) {
        let text = self.text();
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let up = if marks.drawn > 0 { format!("\x1b[{}A", marks.drawn) } else { String::new() };
        marks.drawn = text.lines().count();
        say(&format!("{up}{text}"));
    }

    /// As it stands now.
    pub fn text(&self) -> String {
        let marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = format!("{:24}", "");
        for fault in Fault::ALL {
            let _ = write!(text, " {}", fault.letters());
        }
        text.push('\n');
        for row in self.rows {
            let _ = write!(text, "{row:<24}");
            for fault in Fault::ALL {
                let sign = match marks.by_cell.get(&(row.place, fault)) {
                    _ if fault.impossible(row).is_some() => "–",
                    None | Some(Mark::Wanted) => " ",
                    Some(Mark::Running) => "·",
                    Some(Mark::Green) => "✓",
                    Some(Mark::Red) => "✗",
                };
                let _ = write!(text, "  {sign}");
            }
            text.push('\n');
        }
        text
    }
}

/// What the columns are, and why some cells do not exist.
pub fn legend(rows: &[Row]) -> String {
    let mut text = String::new();
    for fault in Fault::ALL {
        let _ = writeln!(text, "  {}  {fault:<27} {}", fault.letters(), fault.told());
    }
    let mut reasons: BTreeMap<(Fault, &str), Vec<String>> = BTreeMap::new();
    for row in rows {
        for fault in Fault::ALL {
            if let Some(why) = fault.impossible(row) {
                reasons.entry((fault, why)).or_default().push(row.to_string());
            }
        }
    }
    for ((fault, why), rows) in reasons {
        let _ = writeln!(text, "  –   {fault}: {why} ({})", rows.join(", "));
    }
    text
}

fn line(outcome: &Outcome<'_>) -> String {
    let sign = if outcome.result.is_ok() { "✓" } else { "✗" };
    format!("{sign} {:<52} {:>5.1} s\n", outcome.cell.to_string(), outcome.took.as_secs_f64())
}

/// To standard output; a reader that has gone is no error.
pub fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
