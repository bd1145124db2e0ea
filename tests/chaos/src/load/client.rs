//! One customer, who wants one order taken whatever happens.

use super::{Kind, Shared};
use anyhow::{Context, Result};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use std::{
    sync::{PoisonError, atomic::Ordering},
    time::Duration,
};
use testkit::Random;
use tokio::time::sleep;
use uuid::Uuid;

/// For one answer; the order service gives up before.
const ANSWER: Duration = Duration::from_secs(6);
const AGAIN: Duration = Duration::from_millis(300);
/// A customer who cancels does so within this time, in milliseconds.
const REGRET: usize = 400;
const REGRETS: usize = 3;

/// What became of one submission, as the client knows it.
#[derive(Clone, Debug)]
pub struct Entry {
    pub kind: Kind,
    pub told: Told,
    /// Attempts that ended without an answer, or with none that says anything.
    pub unknown: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Accepted(Uuid),
    /// The same key was answered with two orders.
    Twice(Uuid, Uuid),
    /// It was refused, and says so.
    Refused(StatusCode),
    /// The last attempt had no answer: perhaps there is an order, perhaps not.
    Unknown,
}

/// Until it is accepted or refused. What the log says is true at every moment.
pub(super) async fn order(shared: &Shared, number: usize, mut random: Random) {
    let kind = Kind::draw(&mut random);
    let body = kind.body(number, &mut random);
    let key = format!("chaos-{}-{number}", shared.id.simple());
    let place = {
        let mut log = shared.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.push(Entry { kind, told: Told::Unknown, unknown: 0 });
        log.len() - 1
    };
    let note = |told: Told, unknown: u32| {
        let mut log = shared.log.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken away when the client has run out of time.
        if let Some(entry) = log.get_mut(place) {
            (entry.told, entry.unknown) = (told, unknown);
        }
    };
    let mut unknown = 0;
    let id = loop {
        match attempt(shared, number + unknown as usize, &key, &body).await {
            Ok(Answer::Accepted(id)) => break id,
            Ok(Answer::Refused(status)) => return note(Told::Refused(status), unknown),
            Ok(Answer::NotNow) | Err(_) => unknown += 1,
        }
        note(Told::Unknown, unknown);
        sleep(AGAIN).await;
    };
    note(Told::Accepted(id), unknown);
    shared.accepted.fetch_add(1, Ordering::SeqCst);
    if unknown > 0
        && let Ok(Answer::Accepted(other)) = attempt(shared, number, &key, &body).await
        && other != id
    {
        note(Told::Twice(id, other), unknown);
    }
    if kind == Kind::Cancelled {
        sleep(Duration::from_millis(random.below(REGRET) as u64)).await;
        for turn in 0..REGRETS {
            if cancel(shared, number + turn, id).await.is_ok_and(|done| done) {
                break;
            }
            sleep(AGAIN).await;
        }
    }
}

enum Answer {
    Accepted(Uuid),
    Refused(StatusCode),
    NotNow,
}

async fn attempt(shared: &Shared, turn: usize, key: &str, body: &Value) -> Result<Answer> {
    let request = shared.ground.request(Method::POST, service(shared, turn)?, "/api/v1/orders")?;
    let request = request.timeout(ANSWER).header("idempotency-key", key).json(body);
    let answer = request.send().await?;
    let status = answer.status();
    match status {
        StatusCode::ACCEPTED => {
            let body: Value = answer.json().await?;
            let id = body["order_id"].as_str().context("no order_id")?;
            Ok(Answer::Accepted(id.parse()?))
        }
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Ok(Answer::NotNow),
        refused if refused.is_client_error() => Ok(Answer::Refused(refused)),
        _ => Ok(Answer::NotNow),
    }
}

/// Whether that settles it: cancelled, or too late.
async fn cancel(shared: &Shared, turn: usize, id: Uuid) -> Result<bool> {
    let path = format!("/api/v1/orders/{id}");
    let request = shared.ground.request(Method::DELETE, service(shared, turn)?, &path)?;
    let status = request.timeout(ANSWER).send().await?.status();
    Ok(status.is_success() || status == StatusCode::CONFLICT)
}

fn service(shared: &Shared, turn: usize) -> Result<&str> {
    let instances: Vec<&str> = shared.ground.instances("order").collect();
    instances.get(turn % instances.len().max(1)).copied().context("nobody takes orders")
}
