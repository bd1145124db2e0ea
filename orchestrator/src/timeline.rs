//! A saga's story for a terminal, from the inspection endpoint.

use serde_json::Value;
use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Config(#[from] runtime::config::Error),
    #[error("cannot set up an HTTP client")]
    Client(#[source] runtime::http_client::Error),
    #[error("the orchestrator at {url} does not answer (ORCHESTRATOR_URL says where it is)")]
    Unreachable { url: String, source: reqwest::Error },
    #[error("the orchestrator at {url} knows no saga {saga}")]
    Unknown { url: String, saga: Uuid },
}

/// Prints the story of `saga`, having waited up to `wait` seconds for its end.
pub async fn print(saga: Uuid, wait: u64) -> Result<(), Error> {
    let url = runtime::config::env("ORCHESTRATOR_URL", Some("http://127.0.0.1:8000".to_owned()))?;
    let client = runtime::http_client::client().map_err(Error::Client)?;
    let until = Instant::now() + Duration::from_secs(wait);
    let found = loop {
        let found = fetch(&client, &url, saga).await?;
        let ended = found.as_ref().is_some_and(|found| !found["ended_at"].is_null());
        if ended || Instant::now() >= until {
            break found;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let Some(found) = found else { return Err(Error::Unknown { url, saga }) };
    #[allow(clippy::print_stdout, reason = "printing is what it is for")]
    {
        print!("{}", story(&found, std::io::stdout().is_terminal()));
    }
    Ok(())
}

async fn fetch(client: &reqwest::Client, url: &str, saga: Uuid) -> Result<Option<Value>, Error> {
    let unreachable = |source| Error::Unreachable { url: url.to_owned(), source };
    let request = client.get(format!("{url}/api/v1/sagas/{saga}")).timeout(Duration::from_secs(5));
    let answer = request.send().await.map_err(unreachable)?;
    if answer.status() == reqwest::StatusCode::NOT_FOUND {
        return Ok(None);
    }
    answer.error_for_status().map_err(unreachable)?.json().await.map(Some).map_err(unreachable)
}

/// The saga as text: a head, the history with what each event led to, and where the steps stand.
pub fn story(saga: &Value, colours: bool) -> String {
    let paint = Paint { colours };
    let began = instant(&saga["created_at"]);
    let state = word(&saga["state"]);
    let mut text = format!(
        "\n{} v{}  {}  {}\n",
        paint.bold(word(&saga["definition"])),
        saga["version"],
        word(&saga["saga_id"]),
        paint.state(state, state)
    );
    if let Some(why) = saga["cause"]["text"].as_str() {
        text.push_str(&format!("  why: {why}\n"));
    }
    if let Some(step) = saga["parked"]["step"].as_str() {
        let reason = word(&saga["parked"]["reason"]);
        text.push_str(&format!("  {} at {step}: {reason}\n", paint.state("parked", "parked")));
    }
    text.push('\n');
    for line in list(&saga["history"]) {
        let after = match (began, instant(&line["at"])) {
            (Some(began), Some(at)) => format!("{:.3} s", (at - began).as_seconds_f64()),
            _ => String::new(),
        };
        text.push_str(&format!("  {after:>10}  {}\n", happened(line, &paint)));
        for then in list(&line["then"]) {
            text.push_str(&format!("  {:>10}    {}\n", "", paint.dim(&led_to(then))));
        }
    }
    text.push('\n');
    for step in list(&saga["steps"]) {
        let (status, attempts) = (word(&step["status"]), &step["attempts"]);
        let undo = &step["compensation"]["attempts"];
        let undone = undo.as_u64().filter(|undo| *undo > 0);
        let undone = undone.map(|undo| format!(", undone in {undo}")).unwrap_or_default();
        let tried =
            if attempts == 0 { String::new() } else { format!("attempts {attempts}{undone}") };
        let (name, kind) = (word(&step["name"]), word(&step["kind"]));
        let padded = format!("{status:<13}");
        let line = format!("  {name:<20} {kind:<14} {} {tried}", paint.state(status, &padded));
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn happened(line: &Value, paint: &Paint) -> String {
    let (step, attempt) = (word(&line["step"]), &line["attempt"]);
    let undo = if line["leg"] == "compensation" { "undo " } else { "" };
    match word(&line["event"]) {
        "replied" => {
            let outcome = word(&line["outcome"]);
            let body = &line["body"];
            let told = match outcome {
                "done" => String::new(),
                _ => format!(": {body}"),
            };
            format!("{undo}{step} {}{told}", paint.state(outcome, outcome))
        }
        "timed-out" => format!("{undo}{step} got no answer (attempt {attempt})"),
        "rested" => format!("{undo}{step} is asked again"),
        event => match line["body"]["reason"].as_str() {
            Some(reason) => format!("{}: {reason}", event.replace('-', " ")),
            None => event.replace('-', " "),
        },
    }
}

fn led_to(then: &Value) -> String {
    if let Some(sent) = then["sent"].as_str() {
        return match then["attempt"].as_u64() {
            Some(attempt) if attempt > 1 => format!("→ {sent} (attempt {attempt})"),
            _ => format!("→ {sent}"),
        };
    }
    if let Some(step) = then["rests"].as_str() {
        return format!("… {step} rests");
    }
    if let Some(step) = then["parked"].as_str() {
        return format!("‖ {step} is parked");
    }
    format!("■ {}", word(&then["ended"]))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

fn instant(value: &Value) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(value.as_str()?, &Rfc3339).ok()
}

/// Colours on a terminal, nothing elsewhere.
struct Paint {
    colours: bool,
}

impl Paint {
    fn with(&self, code: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn bold(&self, text: &str) -> String {
        self.with("1", text)
    }

    fn dim(&self, text: &str) -> String {
        self.with("2", text)
    }

    /// `text` in the colour of the word `state`.
    fn state(&self, state: &str, text: &str) -> String {
        let code = match state {
            "completed" | "done" => "32",
            "compensated" | "compensating" | "refused" => "33",
            "faulted" | "parked" => "31",
            _ => "36",
        };
        self.with(code, text)
    }
}
