//! Standard output: how wide it is, whether it shows colours, and that it may be closed early.

use std::io::{ErrorKind, IsTerminal, Write as _};

/// Where there is no terminal to ask.
const WIDTH: usize = 80;

/// `COLUMNS` if it is set, as in a shell; else the terminal's.
pub fn width() -> usize {
    let told = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let seen = || match std::io::stdout().is_terminal() {
        true => crossterm::terminal::size().ok().map(|(columns, _)| usize::from(columns)),
        false => None,
    };
    told.or_else(seen).filter(|columns| *columns > 0).unwrap_or(WIDTH)
}

/// To standard output; a reader that has gone (`| head`) is no error.
pub fn say(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

/// For people, beside the answer: standard error.
pub fn remark(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// What somebody else wrote may hold anything, also what a terminal takes for a command.
pub fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colour {
    #[default]
    Plain,
    Bold,
    Dim,
    Good,
    Back,
    Bad,
    Busy,
}

impl Colour {
    /// Of a word for a state or an outcome.
    pub fn of(word: &str) -> Self {
        match word {
            "completed" | "done" | "confirmed" | "closed" | "replayed" => Colour::Good,
            "compensated" | "compensating" | "refused" | "cancelled" | "half-open" => Colour::Back,
            "faulted" | "parked" | "open" | "failed" | "stopped" => Colour::Bad,
            _ => Colour::Busy,
        }
    }
}

/// Colours are for people, and only where they see them.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    pub colours: bool,
}

impl Paint {
    pub fn for_stdout() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
        Paint { colours: std::io::stdout().is_terminal() && wanted }
    }

    pub fn with(self, colour: Colour, text: &str) -> String {
        let code = match colour {
            Colour::Plain => return text.to_owned(),
            Colour::Bold => "1",
            Colour::Dim => "2",
            Colour::Good => "32",
            Colour::Back => "33",
            Colour::Bad => "31",
            Colour::Busy => "36",
        };
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub fn bold(self, text: &str) -> String {
        self.with(Colour::Bold, text)
    }

    pub fn dim(self, text: &str) -> String {
        self.with(Colour::Dim, text)
    }

    /// A word in its own colour.
    pub fn word(self, word: &str) -> String {
        self.with(Colour::of(word), word)
    }
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn nothing_that_others_wrote_moves_the_cursor() {
        assert_eq!(plain("no\x1b[2J\r\nmoney"), "no [2J  money");
    }
}
