//! Without a stack: what the program says when nobody answers or it is used wrongly.

use crate::program::Program;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{fmt::Write as _, net::TcpListener};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener as Listener, TcpStream},
};

const SAGA: &str = "01a1fda6-6a37-7468-aace-7f9d5fa9e7f8";

/// An address that nobody listens at.
fn nobody() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    Ok(format!("http://{}", listener.local_addr()?))
}

#[tokio::test]
async fn when_nobody_answers_a_line_says_who_where_and_why() -> Result<()> {
    let address = nobody()?;
    let program =
        Program::default().with("ORCHESTRATOR_URL", &*address).with("ORDERS_URL", &*address);
    for (line, who) in [
        ("sagas list".to_owned(), "orchestrator"),
        (format!("sagas watch {SAGA}"), "orchestrator"),
        ("participants".to_owned(), "orchestrator"),
        ("top".to_owned(), "orchestrator"),
        ("orders submit".to_owned(), "order service"),
        ("load --for 1s".to_owned(), "order service"),
    ] {
        let ended = program.run(&line).await?.ends_with(2)?;
        ensure!(ended.out.is_empty(), "{ended:#?}");
        let ended = ended.says(&format!("the {who} at {address}"))?.says("Connection refused")?;
        ensure!(ended.err.lines().count() == 2, "{ended:#?}");
    }
    Ok(())
}

#[tokio::test]
async fn nothing_is_done_to_many_by_forgetting_an_id_or_a_flag() -> Result<()> {
    // Had anything been asked, nobody would have answered, which is said otherwise.
    let program = Program::default().with("ORCHESTRATOR_URL", nobody()?);
    for (line, says) in [
        ("sagas cancel --reason x --yes", "say which"),
        ("sagas resume --reason x --parked", "--dry-run first"),
        ("sagas resume --parked --yes", "--reason"),
        ("sagas resume --reason x --parked --yes --dry-run", "cannot be used with"),
        ("dead-letters replay --reason x --yes", "say which"),
        ("dead-letters discard --reason x --participant payment", "--dry-run first"),
        (&format!("sagas cancel {SAGA} --parked --reason x"), "either a SAGA or a filter"),
        ("sagas lst", "list"),
        ("load --rate 201", "201"),
        ("load --rate 200 --for 10m", "20000 are the most"),
        ("load --for 11m", "at most 10 m"),
    ] {
        let ended = program.run(line).await?.ends_with(2)?.says(says)?;
        ensure!(!ended.err.contains("does not answer"), "{ended:#?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_refusal_is_told_with_what_could_be_asked_instead() -> Result<()> {
    let program = served(|_| {
        let problem = json!({ "status": 409, "title": "Conflict", "legal": ["resume", "skip"],
                              "detail": "the pivot has been asked for" });
        answer(409, &problem.to_string())
    })
    .await?;
    let cancel = program.run(&format!("sagas cancel {SAGA} --reason x")).await?.ends_with(1)?;
    let said = "sagactl: the pivot has been asked for\n  can be asked now: resume, skip\n";
    ensure!(cancel.err == said, "{cancel:#?}");
    Ok(())
}

#[tokio::test]
async fn a_verb_for_many_that_some_refuse_ends_with_3_and_names_them() -> Result<()> {
    let program = served(|_| {
        let refused = [json!({ "saga_id": SAGA, "text": "the saga has ended" })];
        let many = json!({ "matched": 3, "accepted": 2, "refused": refused, "dry_run": false });
        answer(200, &many.to_string())
    })
    .await?;
    let line = "sagas resume --parked --yes --reason x";
    let ended = program.run(line).await?.ends_with(3)?;
    ended.says("accepted for 2 of 3")?.says(SAGA)?.says("the saga has ended")?;
    Ok(())
}

#[tokio::test]
async fn a_saga_is_watched_by_its_events_and_by_asking_where_there_are_none() -> Result<()> {
    let line = |seq: u64| json!({ "seq": seq, "event": "started", "then": [] });
    let open = json!({ "saga_id": SAGA, "state": "running", "history": [line(1)] });
    let ended = json!({ "saga_id": SAGA, "state": "completed", "history": [line(1), line(2)],
                        "ended_at": "2026-01-01T00:00:00Z" });
    let with_events = {
        let (open, ended) = (open.to_string(), ended.to_string());
        // Whoever does not take the event never sees the end.
        served(move |path| match path.ends_with("/events") {
            true => stream(&format!(": alive\n\nevent: saga\ndata: {ended}\n\n")),
            false => answer(200, &open),
        })
        .await?
    };
    let asked = std::sync::atomic::AtomicU32::new(0);
    let without = served(move |path| {
        let asked = asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        match (path.ends_with("/events"), asked) {
            (true, _) => answer(404, r#"{"detail": "there is no such path"}"#),
            (false, 0..4) => answer(200, &open.to_string()),
            _ => answer(200, &ended.to_string()),
        }
    })
    .await?;
    for program in [with_events, without] {
        let watched = program.run(&format!("sagas watch {SAGA} --json")).await?.ends_with(0)?;
        let lines: Result<Vec<Value>, _> = watched.out.lines().map(serde_json::from_str).collect();
        let last = lines?.pop().context("nothing was said")?;
        ensure!(last["state"] == "completed", "{watched:#?}");
        ensure!(watched.out.lines().count() == 2, "one line for each move: {watched:#?}");
    }
    Ok(())
}

#[tokio::test]
async fn participants_are_shown_with_what_is_wrong_with_them() -> Result<()> {
    let program = served(|_| {
        let participant = |name, consumers, state| {
            json!({ "name": name, "commands": { "ready": 7, "consumers": consumers },
                    "retries": [{ "tier": "1s", "ready": 2 }, { "tier": "5s", "ready": 1 }],
                    "dead_letters": { "queued": 1, "open": 4 }, "reachable": true,
                    "breakers": [{ "name": "gateway", "state": state }] })
        };
        let items = [participant("payment", 0, "open"), participant("shipping", 1, "closed")];
        answer(200, &json!({ "items": items, "next": null }).to_string())
    })
    .await?;
    let shown = program.run("participants").await?.ends_with(0)?;
    let expected = "\
PARTICIPANT  CONSUMERS  READY  RETRYING  DEAD  BREAKERS
payment              0      7         3     5  gateway open
shipping             1      7         3     5  closed
";
    ensure!(shown.out == expected, "{shown:#?}");
    Ok(())
}

/// A program before a server that answers so, by path.
async fn served(answers: impl Fn(&str) -> String + Send + Sync + 'static) -> Result<Program> {
    let listener = Listener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            if let Some(path) = path(&mut stream).await {
                let _ = stream.write_all(answers(&path).as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        }
    });
    Ok(Program::default().with("ORCHESTRATOR_URL", &*address).with("ORDERS_URL", address))
}

/// The request's path, with its head and body read.
async fn path(stream: &mut TcpStream) -> Option<String> {
    let mut lines = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if lines.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.and_then(|length| length.parse().ok()).unwrap_or(0)];
    tokio::io::AsyncReadExt::read_exact(&mut lines, &mut body).await.ok()?;
    Some(head.split(' ').nth(1)?.to_owned())
}

fn answer(status: u16, body: &str) -> String {
    let mut answer = format!("HTTP/1.1 {status} Told\r\nconnection: close\r\n");
    let _ = write!(answer, "content-length: {}\r\n\r\n{body}", body.len());
    answer
}

/// Without a length: it ends when the connection does.
fn stream(events: &str) -> String {
    let kind = "content-type: text/event-stream";
    format!("HTTP/1.1 200 Told\r\nconnection: close\r\n{kind}\r\n\r\n{events}")
}
