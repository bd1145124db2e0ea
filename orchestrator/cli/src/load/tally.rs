//! What became of the orders, and how long it took.

use super::clerk::Clerk;
use crate::{
    answer::word,
    client::{Client, Error},
    everywhere::Exit,
    moment::measured,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};
use time::OffsetDateTime;
use uuid::Uuid;

/// An order that was tried.
#[derive(Debug)]
pub struct Placed {
    submitted: OffsetDateTime,
    saga: Result<Uuid, String>,
}

impl Placed {
    pub async fn order(shop: &Client, order: &Value, key: &str) -> Self {
        let submitted = OffsetDateTime::now_utc();
        let saga = match shop.post_once(&["orders"], order, key).await {
            Ok(taken) => word(&taken["saga_id"]).parse().map_err(|_| "no saga named".to_owned()),
            Err(Error::Problem(problem)) => Err(problem.to_string()),
            Err(Error::Unreachable { .. }) => Err("no answer".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        Placed { submitted, saga }
    }
}

#[derive(Debug, Default)]
pub struct Tally {
    accepted: u64,
    /// How long the ordering took.
    pub took: Duration,
    /// By what was said instead.
    refused: BTreeMap<String, u64>,
    completed: u64,
    compensated: u64,
    /// Accepted, and not ended so far.
    pub open: usize,
    lasted: Vec<Duration>,
}

impl Tally {
    pub fn placed(&mut self, placed: Placed, clerk: &mut Clerk) {
        match placed.saga {
            Ok(saga) => {
                self.accepted += 1;
                clerk.add(saga, placed.submitted);
                self.open = clerk.open();
            }
            Err(why) => *self.refused.entry(why).or_default() += 1,
        }
    }

    pub fn finished(&mut self, saga: &Value, lasted: Duration) {
        match saga["state"] == "completed" {
            true => self.completed += 1,
            false => self.compensated += 1,
        }
        self.lasted.push(lasted);
    }

    pub fn accepted(&self) -> u64 {
        self.accepted
    }

    pub fn ended(&self) -> u64 {
        self.completed + self.compensated
    }

    /// So many of a hundred ended at least so fast.
    fn percentile(&self, percent: usize) -> Option<Duration> {
        let mut lasted = self.lasted.clone();
        lasted.sort_unstable();
        let place = (lasted.len() * percent).div_ceil(100).max(1) - 1;
        lasted.get(place).copied()
    }

    pub fn report(&self) -> Value {
        let millis = |it: Duration| u64::try_from(it.as_millis()).unwrap_or(u64::MAX);
        let end = |percent| self.percentile(percent).map(millis);
        json!({
            "accepted": self.accepted, "ordering_ms": millis(self.took), "not_accepted": self.refused,
            "completed": self.completed, "compensated": self.compensated, "open": self.open,
            "end_ms": { "p50": end(50), "p99": end(99) },
        })
    }

    pub fn text(&self) -> String {
        let refused: u64 = self.refused.values().sum();
        let mut text = format!("accepted     {:>7}  in {}\n", self.accepted, measured(self.took));
        text +=
            &format!("completed    {:>7}\ncompensated  {:>7}\n", self.completed, self.compensated);
        if self.open > 0 {
            text += &format!("not ended    {:>7}\n", self.open);
        }
        if refused > 0 {
            text += &format!("not accepted {refused:>7}\n");
            for (why, count) in &self.refused {
                text += &format!("  {count} × {}\n", why.replace('\n', "; "));
            }
        }
        if let Some((half, most)) = self.percentile(50).zip(self.percentile(99)) {
            let (half, most) = (measured(half), measured(most));
            text += &format!("to the end   {half:>7}  p50, {most} p99\n");
        }
        text
    }

    pub fn verdict(&self) -> Exit {
        match (self.accepted, self.open, self.refused.is_empty()) {
            (0, _, _) => Exit::No,
            (_, 0, true) => Exit::Done,
            _ => Exit::Partly,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let millis = Duration::from_millis;
        let tally = Tally { lasted: (1..=200).rev().map(millis).collect(), ..Tally::default() };
        assert_eq!([50, 99].map(|it| tally.percentile(it)), [Some(millis(100)), Some(millis(198))]);
        assert_eq!(Tally::default().percentile(99), None);
        let one = Tally { lasted: vec![millis(7)], ..Tally::default() };
        assert_eq!([50, 99].map(|it| one.percentile(it)), [Some(millis(7)); 2]);
    }

    #[test]
    fn what_has_not_ended_makes_it_partly() {
        let tally = |accepted, open| Tally { accepted, open, ..Tally::default() };
        let ended = [tally(0, 0), tally(5, 0), tally(5, 1)].map(|tally| tally.verdict());
        assert_eq!(ended, [Exit::No, Exit::Done, Exit::Partly]);
    }
}
