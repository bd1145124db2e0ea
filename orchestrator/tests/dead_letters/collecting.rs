//! Out of the queues and into the table, each death once.

use crate::world::{STOCK, World, arrived, dead, letter_of, undo_of};
use anyhow::{Result, ensure};
use messaging::{Incoming, Outgoing, dead_letter_queue};
use orchestrator::dead_letters::{
    letter::Letter,
    listing::{self, Filter},
    shelf,
};
use std::time::Duration;
use testkit::{PATIENCE, eventually};

const PATIENT: Duration = Duration::from_secs(60);

fn collected(letter: &Outgoing) -> Letter {
    let message = Incoming {
        queue: dead_letter_queue(STOCK),
        properties: letter.properties.clone(),
        headers: letter.headers.clone(),
        body: letter.body.clone(),
        ..Incoming::default()
    };
    Letter::of(STOCK, &message)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_letter_is_stored_once_by_however_many_collectors_and_leaves_its_queue() -> Result<()>
{
    let world = World::new().await?;
    let commands = world.waiting(300).await?;
    let letters: Vec<_> = commands.iter().map(letter_of).collect();
    // A collector was killed after it had stored these, and before it could say so.
    let stored: Vec<_> = letters[..50].iter().map(collected).collect();
    ensure!(shelf::store(world.database.pool(), &stored).await? == 50);
    ensure!(shelf::store(world.database.pool(), &stored).await? == 0, "the same once more");
    // And a participant had no time to acknowledge what it had buried.
    let twice: Vec<_> = letters.iter().chain(&letters[100..200]).cloned().collect();
    world.send(&twice).await?;
    let (one, other) = (world.office(PATIENT).await?, world.office(PATIENT).await?);
    world.wait("open", 300).await?;
    eventually(PATIENCE, "the queue to be empty", async || {
        let queue = world.vhost.queue(&dead_letter_queue(STOCK)).await?;
        ensure!(queue["messages"] == 0, "{}", queue["messages"]);
        Ok(())
    })
    .await?;
    ensure!(world.number("SELECT sum(deaths)::bigint FROM dead_letter").await? == 300);
    one.stop().await?;
    other.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_keeps_all_that_it_came_with_and_is_found_by_any_of_it() -> Result<()> {
    let world = World::new().await?;
    let office = world.office(PATIENT).await?;
    let command = world.waiting(1).await?.remove(0);
    let mut binary = Outgoing::command(&undo_of(&command));
    binary.body = vec![0xff, 0x00];
    let binary = Incoming {
        properties: binary.properties,
        headers: binary.headers,
        body: binary.body,
        ..Incoming::default()
    };
    world.send(&[letter_of(&command), dead(&binary, "no\0sense")]).await?;
    world.wait("open", 2).await?;
    let pool = world.database.pool();
    let id = world.id_of(&command).await?;
    let (item, whole) = listing::one(pool, id).await?.expect("it is there");
    assert_eq!(item.saga_id, Some(command.saga.0));
    assert_eq!((item.step.as_deref(), item.attempt), (Some("reserve-stock"), Some(1)));
    assert_eq!((item.reason.as_str(), whole.tries), ("attempts-spent", 6));
    assert_eq!((whole.body, whole.died_in.as_str()), (command.body.clone(), "inventory.commands"));
    assert_eq!(whole.headers["saga-definition"], "place-order");
    assert_eq!(whole.properties["message_id"], command.message_id());

    for (filter, found) in [
        (Filter::default(), 2),
        (Filter { saga_id: Some(command.saga.0), ..Filter::default() }, 2),
        (Filter { participant: Some("payment".into()), ..Filter::default() }, 0),
        (Filter { message_type: Some(command.kind.clone()), ..Filter::default() }, 1),
        (Filter { fingerprint: Some(item.fingerprint), ..Filter::default() }, 1),
        (Filter { text: Some("NO SHELF".into()), ..Filter::default() }, 1),
        (Filter { state: Some(listing::State::Replayed), ..Filter::default() }, 0),
    ] {
        let listed = listing::list(pool, &filter, None, 10).await?;
        assert_eq!(listed.len(), found, "{filter:?}");
    }
    let groups = listing::groups(pool, Some(STOCK)).await?;
    assert_eq!(groups.len(), 2);
    let group = groups.iter().find(|group| group.fingerprint == item.fingerprint).unwrap();
    assert_eq!((group.open, group.total, group.example), (1, 1, id));
    assert_eq!(group.error, "no shelf for saga #");
    office.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_death_opens_a_letter_again_and_an_earlier_one_does_not() -> Result<()> {
    let world = World::new().await?;
    let command = world.waiting(1).await?.remove(0);
    let pool = world.database.pool();
    let at = |second: u32, replays: i64| {
        let mut letter = letter_of(&command);
        letter.headers.set("dead-at", format!("2026-03-01T12:00:{second:02}.000Z"));
        letter.headers.set("replay-count", replays);
        [collected(&letter)]
    };
    shelf::store(pool, &at(10, 0)).await?;
    let id = world.id_of(&command).await?;
    let state = async || -> Result<(String, i32, i32)> {
        Ok(sqlx::query_as("SELECT state, deaths, replays FROM dead_letter WHERE id = $1")
            .bind(id)
            .fetch_one(pool)
            .await?)
    };
    sqlx::query("UPDATE dead_letter SET state = 'discarded', remark = 'by hand'")
        .execute(pool)
        .await?;
    shelf::store(pool, &at(9, 0)).await?;
    assert_eq!(state().await?, ("discarded".into(), 1, 0), "it was older");
    shelf::store(pool, &at(11, 0)).await?;
    assert_eq!(state().await?, ("open".into(), 2, 0), "a new death");

    let mut connection = pool.acquire().await?;
    assert_eq!(shelf::begin_replays(&mut connection, &[id]).await?, [(id, 1)]);
    shelf::store(pool, &at(30, 0)).await?;
    assert_eq!(state().await?, ("replaying".into(), 3, 1), "of a copy that is not the replay's");
    // The clock of whoever died of the replay is behind.
    shelf::store(pool, &at(5, 1)).await?;
    assert_eq!(state().await?, ("open".into(), 4, 1));
    shelf::store(pool, &at(5, 1)).await?;
    assert_eq!(state().await?, ("open".into(), 4, 1));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_message_of_ours_is_stored_and_stays_once() -> Result<()> {
    let world = World::new().await?;
    let office = world.office(PATIENT).await?;
    let command = world.waiting(1).await?.remove(0);
    let nobodys = |body: &[u8]| {
        let (properties, headers) = Default::default();
        let (exchange, key) = (messaging::DEAD_LETTERS, dead_letter_queue(STOCK));
        Outgoing::other(exchange, key, properties, headers, body.to_vec())
    };
    let mut spoilt = arrived(&command);
    spoilt.body = vec![b'x'; messaging::BODY_LIMIT + 1];
    world.send(&[nobodys(b"hello"), nobodys(b"hello"), nobodys(b""), dead(&spoilt, "big")]).await?;
    world.wait("open", 3).await?;
    let unreadable = "SELECT count(*) FROM dead_letter WHERE unreadable LIKE 'poison-too-big%'";
    assert_eq!(world.number(unreadable).await?, 1);
    office.stop().await
}
