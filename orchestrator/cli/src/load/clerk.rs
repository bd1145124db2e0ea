//! Looks after the orders that were accepted: which of their sagas have ended, and when.

use super::tally::Tally;
use crate::{answer::list, client::Client, moment::instant};
use serde_json::Value;
use std::{collections::HashMap, time::Duration};
use time::OffsetDateTime;
use uuid::Uuid;

pub const BETWEEN: Duration = Duration::from_millis(500);
/// So few are asked for one by one; more are found in the list.
const FEW: usize = 20;
const PAGE: usize = 200;
/// The clocks of this machine and the orchestrator's may differ by so much.
const SKEW: time::Duration = time::Duration::seconds(60);

#[derive(Debug)]
pub struct Clerk {
    sagas: Client,
    /// By when they were submitted.
    open: HashMap<Uuid, OffsetDateTime>,
}

impl Clerk {
    pub fn new(sagas: Client) -> Self {
        Clerk { sagas, open: HashMap::new() }
    }

    pub fn add(&mut self, saga: Uuid, submitted: OffsetDateTime) {
        self.open.insert(saga, submitted);
    }

    pub fn is_idle(&self) -> bool {
        self.open.is_empty()
    }

    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Counts those that have ended. An orchestrator that does not answer is asked again later.
    pub async fn look(&mut self, tally: &mut Tally) {
        let ended =
            if self.open.len() <= FEW { self.one_by_one().await } else { self.pages().await };
        tally.open = self.open.len();
        for saga in ended {
            let id = saga["saga_id"].as_str().and_then(|id| id.parse().ok());
            let submitted = id.and_then(|id: Uuid| self.open.remove(&id));
            // Counted by when it ended, not by when it was seen: asking seldom does not distort.
            if let Some((submitted, ended)) = submitted.zip(instant(&saga["ended_at"])) {
                tally.finished(&saga, (ended - submitted).try_into().unwrap_or_default());
            }
        }
        tally.open = self.open.len();
    }

    async fn one_by_one(&self) -> Vec<Value> {
        let mut ended = Vec::new();
        for id in self.open.keys() {
            let saga = self.sagas.get(&["sagas", &id.to_string()], &Vec::new()).await;
            ended.extend(saga.ok().filter(|saga| !saga["ended_at"].is_null()));
        }
        ended
    }

    /// Newest first, back to the first that is still open.
    async fn pages(&self) -> Vec<Value> {
        let Some(first) = self.open.values().min().map(|first| *first - SKEW) else {
            return Vec::new();
        };
        let mut ended = Vec::new();
        let mut cursor = None;
        loop {
            let mut query = vec![("limit", PAGE.to_string())];
            query.extend(cursor.map(|cursor: String| ("cursor", cursor)));
            let Ok(mut page) = self.sagas.get(&["sagas"], &query).await else { return ended };
            let items = list(&page["items"]);
            let older = items.last().and_then(|saga| instant(&saga["created_at"]));
            let all = older.is_none_or(|at| at < first);
            ended.extend(items.iter().filter(|saga| !saga["ended_at"].is_null()).cloned());
            match page["next"].take() {
                Value::String(next) if !all => cursor = Some(next),
                _ => return ended,
            }
        }
    }
}
