//! A saga's story as it happens, to its end.

use crate::{
    everywhere::{Everywhere, Exit},
    follow::Follow,
    story,
    terminal::{Paint, remark, say},
};
use anyhow::Result;
use serde_json::Value;
use std::time::Duration;
use uuid::Uuid;

/// Prints what happens until the saga has ended or `limit` is over. It may take `to_begin` to be there.
pub async fn watch(
    at: &Everywhere,
    saga: Uuid,
    limit: Option<Duration>,
    to_begin: Duration,
) -> Result<Exit> {
    let paint = Paint::for_stdout();
    let mut follow = Follow::new(at.orchestrator()?, saga, limit, to_begin);
    let mut told = story::Told::default();
    let mut stuck = String::new();
    let mut begun = false;
    while let Some(saga) = follow.next().await? {
        let ended = !saga["ended_at"].is_null();
        if at.json {
            say(&format!("{saga}\n"))?;
        } else {
            if !begun {
                say(&(story::head(&saga, paint) + "\n"))?;
            }
            say(&told.news(&saga, paint))?;
            // Said once, and again when it is stuck somewhere else.
            let now = story::why(&saga, paint);
            if !ended && !saga["parked"].is_null() && now != stuck {
                say(&now)?;
                say("  it waits for a late answer or an operator: sagactl sagas explain\n")?;
                stuck = now;
            }
        }
        begun = true;
        if ended {
            if !at.json {
                say(&format!("\n{}", story::standing(&saga, paint)))?;
                say(&story::why(&saga, paint))?;
            }
            return Ok(verdict(&saga));
        }
    }
    remark(&format!("sagactl: {saga} has not ended"));
    Ok(Exit::No)
}

/// Compensated is the saga's no.
pub fn verdict(saga: &Value) -> Exit {
    if saga["state"] == "completed" { Exit::Done } else { Exit::No }
}
