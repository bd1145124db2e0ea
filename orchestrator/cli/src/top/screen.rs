//! The whole terminal, and given back whatever happens.

use crossterm::{
    cursor::{Hide, MoveTo, Show},
    event::{self, Event, KeyCode, KeyEvent, KeyModifiers},
    execute, queue,
    style::Print,
    terminal::{
        Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
        enable_raw_mode, size,
    },
};
use std::{
    io::{self, Write as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};
use tokio::sync::Notify;

const LOOK: Duration = Duration::from_millis(100);

pub struct Screen {
    keys: Arc<Keys>,
    reader: Option<thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Keys {
    quit: Notify,
    resized: Notify,
    over: AtomicBool,
}

impl Screen {
    pub fn open() -> io::Result<Self> {
        enable_raw_mode()?;
        let keys = Arc::new(Keys::default());
        let reading = Arc::clone(&keys);
        // Made before the terminal is changed any further, so that its drop puts all of it back.
        let screen = Screen { keys, reader: Some(thread::spawn(move || reading.read())) };
        execute!(io::stdout(), EnterAlternateScreen, Hide)?;
        Ok(screen)
    }

    pub fn rows(&self) -> usize {
        size().map_or(24, |(_, rows)| usize::from(rows))
    }

    /// Over what is there, line by line, so that nothing flickers.
    pub fn draw(&mut self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        queue!(out, MoveTo(0, 0))?;
        let rows = self.rows();
        for (row, line) in text.lines().take(rows).enumerate() {
            let row = u16::try_from(row).unwrap_or(u16::MAX);
            queue!(out, MoveTo(0, row), Print(line), Clear(ClearType::UntilNewLine))?;
        }
        let drawn = text.lines().count();
        if drawn < rows {
            let row = u16::try_from(drawn).unwrap_or(u16::MAX);
            queue!(out, MoveTo(0, row), Clear(ClearType::FromCursorDown))?;
        }
        out.flush()
    }

    /// Until `q`, Escape or Ctrl-C is pressed.
    pub async fn quit(&self) {
        self.keys.quit.notified().await;
    }

    pub async fn resized(&self) {
        self.keys.resized.notified().await;
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.keys.over.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        let _ = execute!(io::stdout(), Show, LeaveAlternateScreen);
        let _ = disable_raw_mode();
    }
}

impl Keys {
    fn read(&self) {
        while !self.over.load(Ordering::Relaxed) {
            match event::poll(LOOK) {
                Ok(false) => continue,
                Ok(true) => {}
                Err(_) => return self.quit.notify_one(),
            }
            match event::read() {
                Ok(Event::Key(key)) if quits(key) => self.quit.notify_one(),
                Ok(Event::Resize(..)) => self.resized.notify_one(),
                Ok(_) => {}
                Err(_) => return self.quit.notify_one(),
            }
        }
    }
}

/// In raw mode Ctrl-C is a key like any other.
fn quits(key: KeyEvent) -> bool {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => true,
        KeyCode::Char('c') => control,
        _ => false,
    }
}
