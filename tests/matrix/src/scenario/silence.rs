//! Commands and replies that do not arrive, or not in time.

use crate::{
    case::{Case, Scene},
    ground::ATTEMPTS,
};
use anyhow::{Result, ensure};
use messaging::{Outgoing, REPLIES_QUEUE, command_queue};

/// What the other side said and what this side hears are different things: nothing arrives at
/// `place`, neither at first nor when it is asked again.
pub async fn timeout<'a>(scene: &'a Scene<'a>, place: &str) -> Result<Case<'a>> {
    let (mut case, [lost]) = Case::begin(scene, [(place, scene.row.command, "lose")]).await?;
    case.exhaust(&lost).await?;
    let replies = case.ground.tap.replies(&case.saga(), scene.row.command);
    match place {
        "worker.received" => ensure!(replies.is_empty(), "it was answered"),
        _ => ensure!(replies.len() as u64 >= ATTEMPTS, "it was not done"),
    }
    drop(lost);
    if case.goes_on() {
        case.resume().await?;
    }
    Ok(case)
}

/// A reply that comes when its step has been given up is old news, while the saga is on its way
/// back and when it is there. One that comes when its leg is parked is as good as ever.
pub async fn late_reply<'a>(scene: &'a Scene<'a>) -> Result<Case<'a>> {
    let row = scene.row;
    let lose = ("orchestrator.received", row.command, "lose");
    let undo = ("worker.received", row.undo.unwrap_or("nothing"), "lose");
    let (mut case, [lost, undo_lost]) = Case::begin(scene, [lose, undo]).await?;
    case.exhaust(&lost).await?;
    let reply = Outgoing::replay(&case.replies(1).await?.swap_remove(0), REPLIES_QUEUE);
    drop(lost);
    let Some(undo) = row.undo else {
        case.ground.send(reply).await?;
        return Ok(case);
    };
    let handled =
        case.ground.armed.arm("orchestrator.after-confirm", row.command, &case.saga(), "note")?;
    case.fired(&undo_lost, "the undo to be asked for", 1).await?;
    let before = case.look().await?;
    case.ground.send(reply.clone()).await?;
    case.fired(&handled, "the late reply to be handled", 1).await?;
    case.unmoved(&before).await?;
    drop(undo_lost);
    case.hasten(row.step, 1).await?;
    case.attempts.insert(undo, 2);
    let before = case.ended().await?;
    case.ground.send(reply).await?;
    case.fired(&handled, "the late reply to be handled again", 2).await?;
    case.unmoved(&before).await?;
    Ok(case)
}

/// The command is still on its way when its step is undone.
pub async fn undo_before_do<'a>(scene: &'a Scene<'a>) -> Result<Case<'a>> {
    let row = scene.row;
    let (mut case, [lost]) = Case::begin(scene, [("worker.received", row.command, "lose")]).await?;
    case.exhaust(&lost).await?;
    drop(lost);
    let before = case.ended().await?;
    let handled =
        case.ground.armed.arm("orchestrator.after-confirm", row.command, &case.saga(), "note")?;
    let command = case.command().await?;
    case.ground.send(Outgoing::replay(&command, &command_queue(row.participant))).await?;
    let reply = case.replies(1).await?.swap_remove(0);
    let outcome = reply.headers.text("outcome").unwrap_or_default();
    ensure!(outcome == "refused", "the overtaken command was answered with {outcome:?}");
    case.fired(&handled, "the answer to be handled", 1).await?;
    case.unmoved(&before).await?;
    Ok(case)
}
