//! Messages that come again.

use crate::case::{Case, Scene};
use anyhow::{Result, ensure};
use messaging::{Incoming, Outgoing, REPLIES_QUEUE, command_queue};
use serde_json::Value;

/// Beside the first one, and when that has long been answered. All are answered alike.
pub async fn command<'a>(scene: &'a Scene<'a>) -> Result<Case<'a>> {
    let (case, []) = Case::begin(scene, []).await?;
    let command = case.command().await?;
    let again = Outgoing::replay(&command, &command_queue(scene.row.participant));
    case.ground.send(again.clone()).await?;
    case.replies(2).await?;
    case.ground.send(again).await?;
    let replies = case.replies(3).await?;
    let said = |reply: &Incoming| {
        let body: Option<Value> = serde_json::from_slice(&reply.body).ok();
        (reply.headers.text("outcome").map(str::to_owned), body)
    };
    let alike = replies.iter().all(|reply| said(reply) == said(&replies[0]));
    ensure!(alike, "the same command was answered differently");
    Ok(case)
}

/// While the first one is being handled, in a transaction of its own; and when that is over.
pub async fn reply<'a>(scene: &'a Scene<'a>) -> Result<Case<'a>> {
    let command = scene.row.command;
    let arms = [
        ("orchestrator.before-commit", command, "hold"),
        ("orchestrator.after-confirm", command, "note"),
    ];
    // One at a time: who waits for a lock is told for the whole database.
    let window = scene.ground.window.lock().await;
    let (case, [held, handled]) = Case::begin(scene, arms).await?;
    case.fired(&held, "the reply to be handled", 1).await?;
    let reply = Outgoing::replay(&case.replies(1).await?.swap_remove(0), REPLIES_QUEUE);
    case.ground.send(reply.clone()).await?;
    case.ground
        .until("the second one to wait for the first", async || {
            let waiting: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock'",
            )
            .fetch_one(case.ground.pool("orchestrator"))
            .await?;
            ensure!(waiting > 0, "nobody waits");
            Ok(())
        })
        .await?;
    drop(held);
    drop(window);
    case.fired(&handled, "both to be handled", 2).await?;
    case.ground.send(reply).await?;
    case.fired(&handled, "the third one to be handled", 3).await?;
    Ok(case)
}
