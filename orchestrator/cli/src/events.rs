//! Server-sent events, as far as the orchestrator uses them: `data:` lines until an empty one.
//! Comments are signs of life.

use serde_json::Value;
use std::time::Duration;
use tokio::time::timeout;

/// An event larger than this is none of ours.
const MOST: usize = 8 * 1024 * 1024;

#[derive(Debug)]
pub struct Events {
    answer: reqwest::Response,
    unread: Unread,
}

/// What came next.
#[derive(Debug)]
pub enum Next {
    Event(Value),
    /// Nothing within the time.
    Quiet,
    /// The server or the network ended it.
    Over,
}

impl Events {
    pub fn of(answer: reqwest::Response) -> Self {
        Events { answer, unread: Unread::default() }
    }

    pub async fn next(&mut self, limit: Duration) -> Next {
        let read = async {
            loop {
                if let Some(event) = self.unread.event() {
                    return Next::Event(event);
                }
                match self.answer.chunk().await {
                    Ok(Some(bytes)) if self.unread.0.len() + bytes.len() <= MOST => {
                        self.unread.0.extend_from_slice(&bytes);
                    }
                    _ => return Next::Over,
                }
            }
        };
        timeout(limit, read).await.unwrap_or(Next::Quiet)
    }
}

/// What came and is no whole event yet.
#[derive(Debug, Default)]
struct Unread(Vec<u8>);

impl Unread {
    /// The next event with data that is JSON, taken out; what comes before it is dropped.
    fn event(&mut self) -> Option<Value> {
        loop {
            let end = self.0.windows(2).position(|pair| pair == b"\n\n")?;
            let block: Vec<u8> = self.0.drain(..end + 2).collect();
            let block = String::from_utf8_lossy(&block);
            let data = block.lines().filter_map(|line| line.strip_prefix("data:"));
            let data: Vec<_> = data.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
            if let Ok(event) = serde_json::from_str(&data.join("\n")) {
                return Some(event);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Unread;
    use serde_json::json;

    #[test]
    fn events_are_found_wherever_the_network_has_cut_them() {
        let sent =
            b": alive\n\nevent: saga\nid: 1\ndata: {\"a\":\ndata: 1}\n\ndata:{\"a\":2}\n\ndata: {";
        for size in 1..sent.len() {
            let mut unread = Unread::default();
            let mut found = Vec::new();
            for part in sent.chunks(size) {
                unread.0.extend_from_slice(part);
                found.extend(std::iter::from_fn(|| unread.event()));
            }
            assert_eq!(found, [json!({ "a": 1 }), json!({ "a": 2 })], "in pieces of {size}");
        }
    }
}
