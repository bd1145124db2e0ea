//! A broker that cannot be reached, or has nowhere to put a message.

use crate::{
    case::{Case, Scene},
    tap,
};
use anyhow::{Result, ensure};
use messaging::{COMMANDS, REPLIES, REPLIES_QUEUE, command_queue};
use testkit::Proxy;

/// More than heartbeats: a message was published into the void.
const PUBLISHED: u64 = 64;

/// The connections break when the command has been written and not confirmed; and again with the
/// reply. Whoever was told of no confirm sends again.
pub async fn cut<'a>(scene: &'a Scene<'a>) -> Result<Case<'a>> {
    let row = scene.row;
    let arms = [
        ("orchestrator.after-commit", row.cause, "hold"),
        ("worker.after-commit", row.command, "hold"),
    ];
    let (case, [decided, done]) = Case::begin(scene, arms).await?;
    case.fired(&decided, "the command to be decided on", 1).await?;
    break_off(&case, case.ground.proxy("orchestrator"), decided).await?;
    case.fired(&done, "the command to be done", 1).await?;
    break_off(&case, case.ground.proxy(row.participant), done).await?;
    Ok(case)
}

async fn break_off(case: &Case<'_>, proxy: &Proxy, held: crate::armed::Switch) -> Result<()> {
    proxy.mute();
    drop(held);
    let swallowed = case
        .ground
        .until("something to be published", async || {
            let swallowed = proxy.swallowed();
            ensure!(swallowed > PUBLISHED, "{swallowed} bytes");
            Ok(())
        })
        .await;
    proxy.cut();
    swallowed
}

/// No queue is bound where the command goes, and then where the reply goes. A command is sent again
/// when its saga is woken, a reply until it arrives.
pub async fn unroutable<'a>(scene: &'a Scene<'a>) -> Result<Case<'a>> {
    let row = scene.row;
    let arms = [
        ("orchestrator.after-commit", row.cause, "hold"),
        ("worker.after-commit", row.command, "hold"),
    ];
    let (mut case, [decided, done]) = Case::begin(scene, arms).await?;
    let ground = case.ground;

    case.fired(&decided, "the command to be decided on", 1).await?;
    let queue = command_queue(row.participant);
    let returned = ("orchestrator", "commands_unroutable_total", queue.as_str());
    without_route(&case, COMMANDS, &queue, returned, decided).await?;
    case.hasten(row.step, 1).await?;
    case.attempts.insert(row.command, 2);

    case.fired(&done, "the command to be done", 1).await?;
    ensure!(ground.tap.replies(&case.saga(), row.command).is_empty(), "it was answered");
    let returned = (row.participant, "messages_unroutable_total", REPLIES_QUEUE);
    without_route(&case, REPLIES, REPLIES_QUEUE, returned, done).await?;
    Ok(case)
}

/// Takes the route to `queue` away until the process has counted one more message as `returned`.
async fn without_route(
    case: &Case<'_>,
    exchange: &str,
    queue: &str,
    (process, metric, key): (&str, &str, &str),
    held: crate::armed::Switch,
) -> Result<()> {
    let ground = case.ground;
    // The tap goes first and comes last: while it is the only one bound, messages count as routed.
    for bound in [tap::QUEUE, queue] {
        ground.routes.unbind(exchange, bound, queue).await?;
    }
    let before = ground.metric(process, metric, key).await?;
    drop(held);
    let told = ground
        .until("the message to be told as unroutable", async || {
            let now = ground.metric(process, metric, key).await?;
            ensure!(now > before, "{process} has counted {now} {metric}");
            Ok(())
        })
        .await;
    for bound in [queue, tap::QUEUE] {
        ground.routes.bind(exchange, bound, queue).await?;
    }
    told
}
