//! One saga as it moves: by its events where the server sends them, by asking where it does not.

use crate::{
    client::{Client, Error},
    events::{Events, Next},
    terminal::remark,
};
use serde_json::Value;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// Between two questions to a server without events.
const BETWEEN: Duration = Duration::from_millis(300);
/// A stream that is quiet so long is not trusted alone: the saga is asked for.
const QUIET: Duration = Duration::from_secs(5);
/// How long a server may be away while it is watched: a restart is no reason to stop.
const AWAY: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Follow {
    client: Client,
    id: String,
    until: Option<Instant>,
    /// A saga that is not there is waited for until then.
    to_begin: Instant,
    stream: Stream,
    last: Value,
}

#[derive(Debug)]
enum Stream {
    Unasked,
    Open(Events),
    /// The server has none.
    None,
}

impl Follow {
    /// For at most `limit`. An order is accepted before its saga begins: `to_begin` is for that.
    pub fn new(client: Client, saga: Uuid, limit: Option<Duration>, to_begin: Duration) -> Self {
        let now = Instant::now();
        let (until, to_begin) = (limit.map(|limit| now + limit), now + to_begin);
        let id = saga.to_string();
        Follow { client, id, until, to_begin, stream: Stream::Unasked, last: Value::Null }
    }

    /// The saga now, then after each move; `None` once the time is over.
    pub async fn next(&mut self) -> Result<Option<Value>, Error> {
        if self.last.is_null() {
            self.last = self.first().await?;
            return Ok(Some(self.last.clone()));
        }
        while self.left().is_none_or(|left| !left.is_zero()) {
            let saga = match self.told().await {
                Some(saga) => saga,
                None => self.ask().await?,
            };
            if saga != self.last {
                self.last = saga.clone();
                return Ok(Some(saga));
            }
        }
        Ok(None)
    }

    /// Until the saga may have moved: the saga itself, or nothing, and it is to be asked for.
    async fn told(&mut self) -> Option<Value> {
        let left = self.left();
        let within = |limit: Duration| left.map_or(limit, |left| left.min(limit));
        match &mut self.stream {
            Stream::Open(events) => match events.next(within(QUIET)).await {
                // Some servers send the whole saga, others only what a list says of it.
                Next::Event(saga) => return saga["history"].is_array().then_some(saga),
                Next::Quiet => {}
                Next::Over => self.stream = Stream::Unasked,
            },
            Stream::Unasked => {
                sleep(within(BETWEEN)).await;
                self.open().await;
            }
            Stream::None => sleep(within(BETWEEN)).await,
        }
        None
    }

    /// The stream is opened before the saga is read: nothing can happen in between.
    async fn first(&mut self) -> Result<Value, Error> {
        loop {
            match self.client.get(&["sagas", &self.id], &Vec::new()).await {
                Ok(saga) if !saga["ended_at"].is_null() => return Ok(saga),
                Ok(_) => {
                    self.open().await;
                    return self.ask().await;
                }
                Err(error) if error.is_no() && Instant::now() < self.to_begin => {
                    sleep(BETWEEN).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// A server that is away is no reason to give up; asking tells.
    async fn open(&mut self) {
        self.stream = match self.client.events(&["sagas", &self.id, "events"]).await {
            Ok(Some(events)) => Stream::Open(events),
            Ok(None) => Stream::None,
            Err(_) => Stream::Unasked,
        };
    }

    async fn ask(&mut self) -> Result<Value, Error> {
        let since = Instant::now();
        let mut told = false;
        loop {
            match self.client.get(&["sagas", &self.id], &Vec::new()).await {
                Err(error) if error.is_away() && since.elapsed() < AWAY => {
                    if !told {
                        remark("sagactl: the orchestrator does not answer; asking again");
                    }
                    told = true;
                    sleep(Duration::from_secs(1)).await;
                }
                answer => return answer,
            }
        }
    }

    fn left(&self) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(Instant::now()))
    }
}
