//! Answers that are a no, and messages that nobody can read.

use crate::case::{Case, Ending, Scene, order};
use anyhow::{Context, Result, ensure};
use messaging::{BODY_LIMIT, Incoming, Outgoing, REPLIES_QUEUE, command_queue};
use serde_json::json;

/// By what a customer can do, so that the handlers themselves refuse.
pub async fn refuse<'a>(scene: &'a Scene<'a>) -> Result<Case<'a>> {
    let row = scene.row;
    let ending = Ending::Compensated("refused", row.step);
    let mut order = order("card_ok");
    let mut arms = Vec::new();
    match row.command {
        "inventory.reserve-stock" => {
            order["items"] = json!([{ "product_id": "prod_023", "quantity": 4 }]);
        }
        "payment.authorise" => order["payment_method"] = json!("card_declined"),
        "payment.capture" => order["payment_method"] = json!("card_capture_fails"),
        "shipping.book" => order["ship_to"] = json!({ "country": "XX" }),
        // Withdrawn by the customer before it is opened.
        command => arms.push(("worker.received", command, "hold")),
    }
    let (case, held) = Case::with(scene, order, ending, &arms).await?;
    for switch in held {
        case.fired(&switch, "the command to arrive", 1).await?;
        case.ground.delete("order", &format!("/api/v1/orders/{}", case.id)).await?;
    }
    case.replies(1).await?;
    Ok(case)
}

/// Every time it is asked: a saga that can go back does; another parks and goes on when the
/// participant is well again.
pub async fn fault<'a>(scene: &'a Scene<'a>) -> Result<Case<'a>> {
    let row = scene.row;
    let arms = [("worker.handle", row.command, "fault")];
    let (mut case, [faults]) = Case::begin(scene, arms).await?;
    let letter = (row.participant.to_owned(), "fault".to_owned());
    case.letters.push(letter.clone());
    if row.may_be_given_up() {
        // Armed until it has said so: a handler may be called again before anything is committed.
        case.replies(1).await?;
        case.ending = Ending::Compensated("faulted", row.step);
        return Ok(case);
    }
    // It rests, and is asked again.
    case.letters.push(letter);
    case.replies(2).await?;
    case.parked().await?;
    drop(faults);
    case.resume().await?;
    Ok(case)
}

/// The command comes garbled and is lost by that; so does its reply, besides the good one.
pub async fn poison<'a>(scene: &'a Scene<'a>) -> Result<Case<'a>> {
    let row = scene.row;
    let (mut case, [lost]) = Case::begin(scene, [("worker.received", row.command, "lose")]).await?;
    let command = case.command().await?;
    case.fired(&lost, "the command to be lost", 1).await?;
    let (garbled, reason) = garbled(row.place, &command, row.participant);
    case.ground.send(garbled).await?;
    case.letters.push((row.participant.to_owned(), reason.to_owned()));
    buried(&case).await?;
    drop(lost);
    case.hasten(row.step, 1).await?;
    case.attempts.insert(row.command, 2);
    let reply = case.replies(1).await?.swap_remove(0);
    let mut garbled = Outgoing::replay(&reply, REPLIES_QUEUE);
    garbled.body.truncate(garbled.body.len() / 2);
    garbled.body.extend(b"\xff{");
    case.ground.send(garbled).await?;
    case.letters.push(("orchestrator".to_owned(), "poison-not-json".to_owned()));
    Ok(case)
}

async fn buried(case: &Case<'_>) -> Result<()> {
    case.ground
        .until("the garbled command to be a dead letter", async || {
            let letters = case.ground.tap.dead_letters(&case.saga());
            let reason = letters.first().and_then(|letter| letter.headers.text("dead-reason"));
            let reason = reason.context("there is none")?;
            ensure!(reason == case.letters[0].1, "it is {reason}");
            Ok(())
        })
        .await
}

/// One kind of poison after the other, down the rows.
fn garbled(place: usize, command: &Incoming, participant: &str) -> (Outgoing, &'static str) {
    let mut garbled = Outgoing::replay(command, &command_queue(participant));
    let reason = match place % 5 {
        0 => {
            garbled.body = b"{\"order\": ".to_vec();
            "poison-not-json"
        }
        1 => {
            garbled.properties.kind = Some(format!("{participant}.dance"));
            "poison-unknown-type"
        }
        2 => {
            garbled.headers = garbled.headers.with("schema-version", 2);
            "poison-schema-version"
        }
        3 => {
            garbled.headers = garbled.headers.with("saga-leg", "sideways");
            "poison-bad-header"
        }
        _ => {
            garbled.body = vec![b' '; BODY_LIMIT + 1];
            "poison-too-big"
        }
    };
    (garbled, reason)
}
