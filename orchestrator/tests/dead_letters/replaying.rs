//! Back to those that wait for them, and to nobody else.

use crate::world::{Running, World, all_of_inventory, arrived, dead, done, why};
use anyhow::{Result, ensure};
use orchestrator::dead_letters::{
    listing::{self, Filter},
    verbs::{Begun, Done},
};
use std::time::Duration;
use testkit::{PATIENCE, eventually};
use uuid::Uuid;

const PATIENT: Duration = Duration::from_secs(60);

async fn replay(running: &Running) -> Result<(Uuid, Begun)> {
    let begun = running.office.replay_many(&all_of_inventory(), &why(), false).await?;
    Ok((begun.replay.expect("no dry run"), begun))
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_thousand_letters_half_of_them_stale_each_half_gets_what_it_should_and_no_more()
-> Result<()> {
    let world = World::new().await?;
    let office = world.office(PATIENT).await?;
    let commands = world.waiting(1_000).await?;
    // Stale ones among the others; they are answered before their letters are replayed.
    let stale: Vec<_> = commands.iter().step_by(2).map(done).collect();
    world.engine.advance(&stale).await?;
    world.bury(&commands).await?;
    world.wait("open", 1_000).await?;
    world.inventory();

    let dry = office.office.replay_many(&all_of_inventory(), &why(), true).await?;
    assert_eq!((dry.replay, dry.matched, dry.stale), (None, 1_000, 500));
    let (id, begun) = replay(&office).await?;
    assert_eq!((begun.matched, begun.stale), (1_000, 500));
    let over = world.over(id).await?;
    assert_eq!(
        (over.state.as_str(), over.replayed, over.refused, over.failed, over.waiting),
        ("done", 500, 500, 0, 0),
        "{over:?}"
    );
    assert_eq!(world.came(), (500, 1), "each command came once");
    let moved = "SELECT count(*) FROM saga WHERE steps -> 'reserve-stock' ->> 'status' = 'done'";
    assert_eq!(world.number(moved).await?, 1_000);
    let reasons = "SELECT count(*) FROM dead_letter WHERE state = 'refused'
                      AND remark = 'its saga does not wait for it: reserve-stock is answered'";
    assert_eq!(world.number(reasons).await?, 500);

    let (id, begun) = replay(&office).await?;
    assert_eq!(begun.matched, 0);
    assert_eq!(world.over(id).await?.state, "done");
    let refused = Filter { state: Some(listing::State::Refused), ..Filter::default() };
    let begun = office.office.replay_many(&refused, &why(), false).await?;
    let over = world.over(begun.replay.unwrap()).await?;
    assert_eq!((begun.stale, over.refused, over.replayed), (500, 500, 0));
    assert_eq!(world.came(), (500, 1), "nothing happens twice");
    let audited = "SELECT count(*) FROM operator_action WHERE verb = 'replay' AND by = 'ada'";
    assert_eq!(world.number(audited).await?, 3);
    office.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_of_many_stops_at_the_first_that_dies_again_and_leaves_the_rest_alone()
-> Result<()> {
    let world = World::new().await?;
    let office = world.office(PATIENT).await?;
    let commands = world.waiting(100).await?;
    // One after the other, so that the order of their deaths is the order of the rungs.
    for command in &commands {
        world.bury(std::slice::from_ref(command)).await?;
    }
    world.wait("open", 100).await?;
    world.dies(&commands[4]);
    world.inventory();
    let (id, _) = replay(&office).await?;
    let over = world.over(id).await?;
    // Rungs of 1, 2 and 5: the fifth letter is on the third.
    assert_eq!(
        (over.state.as_str(), over.replayed, over.failed, over.waiting),
        ("stopped", 7, 1, 92),
        "{over:?}"
    );
    assert_eq!(over.text.as_deref(), Some("1 died again, on rung 3"));
    assert_eq!(world.came(), (8, 1));
    let state = "SELECT count(*) FROM dead_letter WHERE state = 'open' AND deaths = 2
                    AND remark = 'it died again after its replay'";
    assert_eq!(world.number(state).await?, 1);

    world.lives();
    let (id, begun) = replay(&office).await?;
    assert_eq!(begun.matched, 93);
    assert_eq!(world.over(id).await?.replayed, 93);
    assert_eq!(world.came(), (100, 2), "only the one that died comes twice");
    office.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_orchestrators_that_replay_the_same_letters_at_once_send_each_of_them_once()
-> Result<()> {
    let world = World::new().await?;
    let (one, other) = (world.office(PATIENT).await?, world.office(PATIENT).await?);
    let commands = world.waiting(200).await?;
    world.bury(&commands).await?;
    world.wait("open", 200).await?;
    world.inventory();
    let (first, second) = tokio::try_join!(replay(&one), replay(&other))?;
    let (first, second) = (world.over(first.0).await?, world.over(second.0).await?);
    assert_eq!((first.state.as_str(), second.state.as_str()), ("done", "done"));
    assert_eq!(first.replayed + second.replayed, 200, "{first:?} {second:?}");
    assert_eq!(world.came(), (200, 1));
    assert_eq!(world.number("SELECT max(replays)::bigint FROM dead_letter").await?, 1);

    let lone = world.waiting(1).await?;
    world.bury(&lone).await?;
    world.wait("open", 1).await?;
    let (id, why) = (world.id_of(&lone[0]).await?, why());
    let (first, second) = tokio::try_join!(
        one.office.replay_one(id, &why, false),
        other.office.replay_one(id, &why, false)
    )?;
    let accepted = [first, second].iter().filter(|it| matches!(it, Done::Accepted(_))).count();
    assert_eq!(accepted, 1);
    world.wait("replayed", 201).await?;
    assert_eq!(world.came(), (201, 1));
    one.stop().await?;
    other.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_goes_on_where_its_orchestrator_was_killed() -> Result<()> {
    let world = World::new().await?;
    let first = world.office(PATIENT).await?;
    let commands = world.waiting(30).await?;
    world.bury(&commands).await?;
    world.wait("open", 30).await?;
    // Nobody answers: it waits on its first rung.
    let (id, _) = replay(&first).await?;
    world.wait("replaying", 1).await?;
    let sent = "SELECT count(*) FROM dead_letter WHERE sent_at IS NOT NULL";
    eventually(PATIENCE, "the first to be sent", async || {
        ensure!(world.number(sent).await? == 1);
        Ok(())
    })
    .await?;
    first.stop().await?;
    // And another one had begun the second rung, and was killed before it could send it.
    let mut connection = world.database.pool().acquire().await?;
    sqlx::query(
        "WITH rung AS (
             UPDATE dead_letter_replay_item SET outcome = 'sent', number = 1
              WHERE position IN (2, 3) RETURNING dead_letter_id)
         UPDATE dead_letter SET state = 'replaying', replays = 1,
                claimed_until = clock_timestamp() - interval '1 s'
          WHERE id IN (SELECT dead_letter_id FROM rung)",
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query("UPDATE dead_letter_replay SET rung = 2, claimed_until = clock_timestamp()")
        .execute(&mut *connection)
        .await?;
    drop(connection);
    world.inventory();
    let second = world.office(PATIENT).await?;
    let over = world.over(id).await?;
    assert_eq!((over.state.as_str(), over.replayed), ("done", 30), "{over:?}");
    assert_eq!(world.came(), (30, 1));
    second.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_nobody_answers_stops_where_it_is() -> Result<()> {
    let world = World::new().await?;
    let office = world.office(Duration::from_millis(300)).await?;
    world.bury(&world.waiting(10).await?).await?;
    world.wait("open", 10).await?;
    let (id, _) = replay(&office).await?;
    let over = world.over(id).await?;
    assert_eq!((over.state.as_str(), over.replayed, over.waiting), ("stopped", 0, 10));
    assert_eq!(over.text.as_deref(), Some("1 were not answered within 300ms, on rung 1"));
    assert_eq!(world.states().await?["open"], 9);
    office.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_could_read_or_nobody_asked_for_is_refused_and_can_be_discarded() -> Result<()>
{
    let world = World::new().await?;
    let office = world.office(PATIENT).await?;
    let commands = world.waiting(2).await?;
    let mut garbled = arrived(&commands[0]);
    garbled.body = b"{".to_vec();
    world.send(&[dead(&garbled, "EOF")]).await?;
    world.bury(&commands[1..]).await?;
    world.wait("open", 2).await?;
    let (garbled, good) = (world.id_of(&commands[0]).await?, world.id_of(&commands[1]).await?);
    let refused = office.office.replay_one(garbled, &why(), false).await?;
    let Done::Refused(reason) = refused else { panic!("{refused:?}") };
    assert!(reason.starts_with("no participant could read it: poison-not-json"), "{reason}");
    assert_eq!(office.office.stale(garbled).await?, Some(reason));
    let dry = office.office.discard_one(good, &why(), true).await?;
    assert!(matches!(dry, Done::Would), "{dry:?}");
    for id in [garbled, good] {
        let done = office.office.discard_one(id, &why(), false).await?;
        assert!(matches!(done, Done::Accepted(_)), "{done:?}");
        let again = office.office.discard_one(id, &why(), false).await?;
        assert!(matches!(again, Done::Refused(_)), "{again:?}");
    }
    let late = office.office.replay_one(good, &why(), false).await?;
    assert!(matches!(&late, Done::Refused(why) if why == "it has been discarded"), "{late:?}");
    let nobody = office.office.replay_one(Uuid::nil(), &why(), false).await?;
    assert!(matches!(nobody, Done::NoSuchLetter));
    let audited = "SELECT count(*) FROM operator_action WHERE dead_letter IS NOT NULL
                      AND reason = 'the shelf is back' AND saga_id IS NOT NULL";
    assert_eq!(world.number(audited).await?, 6, "refused or not");
    assert_eq!(world.came(), (0, 0));
    office.stop().await
}
