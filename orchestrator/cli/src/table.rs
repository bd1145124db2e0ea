//! Tables that fit the terminal. An id is never cut. What is too wide for a line is cut with `…`,
//! and where even that leaves too little, the least important column goes.

use crate::terminal::{Colour, Paint};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Most text that is shorter than this tells nothing.
const LEAST: usize = 12;
const GAP: usize = 2;

/// What a column holds says what may become of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Kept whole.
    Word,
    /// Kept whole, to the right.
    Number,
    /// May be cut.
    Text,
}

#[derive(Clone, Copy, Debug)]
pub struct Column {
    title: &'static str,
    kind: Kind,
    /// 0 always stays; of the others the highest goes first.
    rank: u8,
    /// Cut shorter than this it tells nothing.
    least: usize,
}

impl Column {
    pub const fn word(title: &'static str, rank: u8) -> Self {
        Column { title, kind: Kind::Word, rank, least: LEAST }
    }

    pub const fn number(title: &'static str, rank: u8) -> Self {
        Column { title, kind: Kind::Number, rank, least: LEAST }
    }

    pub const fn text(title: &'static str, rank: u8) -> Self {
        Column { title, kind: Kind::Text, rank, least: LEAST }
    }

    pub const fn least(self, least: usize) -> Self {
        Column { least, ..self }
    }
}

#[derive(Clone, Debug, Default)]
pub struct Cell {
    text: String,
    colour: Colour,
}

impl Cell {
    pub fn coloured(text: impl Into<String>, colour: Colour) -> Self {
        Cell { text: text.into(), colour }
    }

    /// A word in its own colour.
    pub fn state(word: &str) -> Self {
        Cell::coloured(word, Colour::of(word))
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Cell { text: text.into(), colour: Colour::Plain }
    }
}

#[derive(Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub fn new(columns: &[Column]) -> Self {
        Table { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// One cell for each column.
    pub fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        debug_assert_eq!(N, self.columns.len(), "a cell for each column");
        self.rows.push(cells.into());
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// No line is wider than `width`, unless the columns that always stay are.
    pub fn fit(&self, width: usize, paint: Paint) -> String {
        let widths = self.widths(width);
        let titles = self.columns.iter().map(|column| Cell::coloured(column.title, Colour::Dim));
        let mut text = self.line(&titles.collect::<Vec<_>>(), &widths, paint);
        for row in &self.rows {
            text += &self.line(row, &widths, paint);
        }
        text
    }

    /// Each column's width; `None` for one that goes.
    fn widths(&self, width: usize) -> Vec<Option<usize>> {
        let natural = self.columns.iter().enumerate().map(|(index, column)| {
            let cells = self.rows.iter().map(|row| row[index].text.width());
            Some(cells.chain([column.title.width()]).max().unwrap_or(0))
        });
        let mut widths: Vec<_> = natural.collect();
        loop {
            let over = total(&widths).saturating_sub(width);
            if over == 0 {
                return widths;
            }
            if let Some(cut) = self.cut(&widths, over) {
                return cut;
            }
            let kept = widths.iter().zip(&self.columns).enumerate();
            let least = kept.filter(|(_, (width, column))| width.is_some() && column.rank > 0);
            match least.max_by_key(|(_, (_, column))| column.rank) {
                Some((index, _)) => widths[index] = None,
                None => return self.cut(&widths, usize::MAX).unwrap_or(widths),
            }
        }
    }

    /// `over` taken from the texts, always from the widest; `None` if they have not so much to give.
    /// For more than there is (`usize::MAX`) they give what they have.
    fn cut(&self, widths: &[Option<usize>], mut over: usize) -> Option<Vec<Option<usize>>> {
        let mut widths = widths.to_vec();
        while over > 0 {
            let texts = widths.iter_mut().zip(&self.columns);
            let wide = texts.filter_map(|(width, column)| {
                let is_text = column.kind == Kind::Text;
                width.as_mut().filter(|width| is_text && **width > column.least)
            });
            match wide.max() {
                Some(widest) => *widest -= 1,
                None if over > usize::MAX / 2 => break,
                None => return None,
            }
            over -= 1;
        }
        Some(widths)
    }

    fn line(&self, cells: &[Cell], widths: &[Option<usize>], paint: Paint) -> String {
        let mut line = String::new();
        let mut behind = 0;
        for ((cell, width), column) in cells.iter().zip(widths).zip(&self.columns) {
            let Some(width) = *width else { continue };
            let shown = cut(&cell.text, width);
            let pad = width.saturating_sub(shown.width());
            let (before, after) = if column.kind == Kind::Number { (pad, 0) } else { (0, pad) };
            // Nothing but text ends a line.
            if !shown.is_empty() {
                line += &" ".repeat(behind + before);
                line += &paint.with(cell.colour, &shown);
                behind = after + GAP;
            } else {
                behind += width + GAP;
            }
        }
        line + "\n"
    }
}

fn total(widths: &[Option<usize>]) -> usize {
    let kept = widths.iter().flatten();
    kept.clone().sum::<usize>() + kept.count().saturating_sub(1) * GAP
}

/// At most so wide, with `…` in place of what is missing.
pub fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 1;
    for letter in text.chars() {
        used += letter.width().unwrap_or(0);
        if used > width {
            break;
        }
        kept.push(letter);
    }
    kept.truncate(kept.trim_end().len());
    kept + "…"
}

/// Lines of at most `width`, each begun with `indent` spaces.
pub fn wrapped(text: &str, width: usize, indent: usize) -> String {
    let room = width.saturating_sub(indent).max(LEAST);
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("it begins with a line and only grows");
        if !last.is_empty() && last.width() + 1 + word.width() > room {
            lines.push(word.to_owned());
        } else {
            if !last.is_empty() {
                last.push(' ');
            }
            last.push_str(word);
        }
    }
    lines.iter().map(|line| format!("{}{line}\n", " ".repeat(indent))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01a1fda6-6a37-7468-aace-7f9d5fa9e7f8";
    const PLAIN: Paint = Paint { colours: false };

    fn sagas() -> Table {
        let mut table = Table::new(&[
            Column::word("SAGA", 0),
            Column::text("DEFINITION", 3),
            Column::word("STATE", 0),
            Column::number("TRIES", 1),
            Column::text("AT", 2),
        ]);
        let at = "authorise-payment refused: payment declined: card-declined";
        table.row([ID.into(), "place-order".into(), "compensated".into(), "1".into(), at.into()]);
        table
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_no_id_is_cut() {
        for width in 55..160 {
            let text = sagas().fit(width, PLAIN);
            for line in text.lines() {
                assert!(line.width() <= width, "{width}: {line}");
                assert_eq!(line.trim_end(), line);
            }
            assert!(text.contains(ID), "{width}: {text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_cut_and_the_least_important_goes_first() {
        insta::assert_snapshot!(sagas().fit(80, PLAIN), @"
        SAGA                                  STATE        TRIES  AT
        01a1fda6-6a37-7468-aace-7f9d5fa9e7f8  compensated      1  authorise-payment ref…
        ");
        insta::assert_snapshot!(sagas().fit(56, PLAIN), @"
        SAGA                                  STATE        TRIES
        01a1fda6-6a37-7468-aace-7f9d5fa9e7f8  compensated      1
        ");
    }

    #[test]
    fn text_is_cut_by_what_it_takes_on_the_screen() {
        assert_eq!(cut("payment", 7), "payment");
        assert_eq!(cut("payment", 4), "pay…");
        assert_eq!(cut("注文の支払い", 5), "注文…");
    }

    #[test]
    fn long_sentences_are_wrapped_between_words() {
        assert_eq!(wrapped("it waits for payment", 14, 2), "  it waits for\n  payment\n");
    }
}
