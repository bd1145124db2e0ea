//! A saga's story for a terminal: a head, the history with what each event led to, and where the
//! steps stand. Whole, or line by line while it happens.

use crate::{
    answer::{list, number, text, word},
    moment::instant,
    terminal::Paint,
};
use serde_json::Value;
use time::OffsetDateTime;

/// All of it.
pub fn story(saga: &Value, paint: Paint) -> String {
    let mut story = head(saga, paint);
    story += &why(saga, paint);
    story.push('\n');
    story += &Told::default().news(saga, paint);
    story.push('\n');
    story + &standing(saga, paint)
}

/// What the saga is and where it stands, in a line.
pub fn head(saga: &Value, paint: Paint) -> String {
    let name = paint.bold(&text(&saga["definition"]));
    let (version, id) = (&saga["version"], text(&saga["saga_id"]));
    format!("\n{name} v{version}  {id}  {}\n", paint.word(word(&saga["state"])))
}

/// Why it goes back, and what it cannot get past.
pub fn why(saga: &Value, paint: Paint) -> String {
    let mut why = String::new();
    if saga["cause"]["text"].is_string() {
        why += &format!("  why: {}\n", text(&saga["cause"]["text"]));
    }
    if saga["parked"]["step"].is_string() {
        let (step, reason) = (text(&saga["parked"]["step"]), text(&saga["parked"]["reason"]));
        why += &format!("  {} at {step}: {reason}\n", paint.word("parked"));
    }
    why
}

/// How far the history has been told.
#[derive(Debug, Default)]
pub struct Told {
    seq: Option<u64>,
}

impl Told {
    /// What has happened since it was last told.
    pub fn news(&mut self, saga: &Value, paint: Paint) -> String {
        let began = instant(&saga["created_at"]);
        let mut news = String::new();
        for line in list(&saga["history"]) {
            let seq = number(&line["seq"]);
            if self.seq.is_some_and(|told| seq <= told) {
                continue;
            }
            self.seq = Some(seq);
            let after = after(began, &line["at"]);
            news += &format!("  {after:>10}  {}\n", happened(line, paint));
            for then in list(&line["then"]) {
                news += &format!("  {:>10}    {}\n", "", paint.dim(&led_to(then)));
            }
        }
        news
    }
}

/// Where each step stands.
pub fn standing(saga: &Value, paint: Paint) -> String {
    let mut standing = String::new();
    for step in list(&saga["steps"]) {
        let (status, attempts) = (word(&step["status"]), number(&step["attempts"]));
        let undone = match number(&step["compensation"]["attempts"]) {
            0 => String::new(),
            undone => format!(", undone in {undone}"),
        };
        let tried =
            if attempts == 0 { String::new() } else { format!("attempts {attempts}{undone}") };
        let (name, kind) = (text(&step["name"]), text(&step["kind"]));
        let pad = " ".repeat(13_usize.saturating_sub(status.len()));
        let line = format!("  {name:<20} {kind:<14} {}{pad} {tried}", paint.word(status));
        standing += line.trim_end();
        standing.push('\n');
    }
    standing
}

fn after(began: Option<OffsetDateTime>, at: &Value) -> String {
    let length = began.zip(instant(at)).map(|(began, at)| (at - began).as_seconds_f64());
    length.map(|seconds| format!("{seconds:.3} s")).unwrap_or_default()
}

fn happened(line: &Value, paint: Paint) -> String {
    let (step, attempt) = (text(&line["step"]), number(&line["attempt"]));
    let undo = if line["leg"] == "compensation" { "undo " } else { "" };
    match word(&line["event"]) {
        "replied" => {
            let outcome = word(&line["outcome"]);
            let told = match outcome {
                "done" => String::new(),
                _ => format!(": {}", text(&line["body"])),
            };
            format!("{undo}{step} {}{told}", paint.word(outcome))
        }
        "timed-out" => format!("{undo}{step} got no answer (attempt {attempt})"),
        "rested" => format!("{undo}{step} is asked again"),
        event => {
            let event = event.replace('-', " ");
            let of = if step.is_empty() { String::new() } else { format!(" of {undo}{step}") };
            match &line["body"]["reason"] {
                Value::Null => format!("{event}{of}"),
                reason => format!("{event}{of}: {}", text(reason)),
            }
        }
    }
}

fn led_to(then: &Value) -> String {
    if then["sent"].is_string() {
        let sent = text(&then["sent"]);
        return match number(&then["attempt"]) {
            attempt @ 2.. => format!("→ {sent} (attempt {attempt})"),
            _ => format!("→ {sent}"),
        };
    }
    if then["rests"].is_string() {
        return format!("… {} rests", text(&then["rests"]));
    }
    if then["parked"].is_string() {
        return format!("‖ {} is parked", text(&then["parked"]));
    }
    format!("■ {}", text(&then["ended"]))
}

#[cfg(test)]
mod tests;
