use crate::shop::{self, Mood, STEP, Take, bench, give_back, inbox_rows, left, saga, take, worker};
use contracts::{
    CommandEnvelope, Leg,
    Outcome::{Done, Refused},
};
use std::{collections::HashSet, sync::atomic::Ordering::SeqCst};
use store::inbox::{self, Claim, Key};
use worker::testing::{Bench, envelope};

fn action(mood: Mood) -> anyhow::Result<CommandEnvelope> {
    Ok(envelope(saga(), STEP, Leg::Action, &take(mood))?)
}

#[tokio::test]
async fn two_hundred_commands_share_one_commit() -> anyhow::Result<()> {
    let (database, bench) = bench(1000).await?;
    let commands = (0..200).map(|_| action(Mood::Fine)).collect::<Result<Vec<_>, _>>()?;
    let results = bench.handle_all(&commands).await;
    assert_eq!(results.len(), 200);
    assert!(
        results.iter().all(|result| matches!(result, Ok(answered) if answered.outcome == Done))
    );
    assert_eq!(left(database.pool()).await?, 800);
    let times: Vec<time::OffsetDateTime> =
        sqlx::query_scalar("SELECT DISTINCT at FROM inbox").fetch_all(database.pool()).await?;
    assert_eq!(times.len(), 1, "the time of a row is that of its transaction");
    Ok(())
}

#[tokio::test]
async fn each_command_of_a_batch_fares_as_if_it_were_alone() -> anyhow::Result<()> {
    let (database, bench) = bench(100).await?;
    let moods = [
        Mood::Fine,
        Mood::RefuseAfterWriting,
        Mood::Fine,
        Mood::Fault,
        Mood::Swallow,
        Mood::Panic,
        Mood::Fine,
    ];
    let commands = moods.into_iter().map(action).collect::<Result<Vec<_>, _>>()?;
    let results = bench.handle_all(&commands).await;
    for (mood, result) in moods.iter().zip(&results) {
        let outcome = result.as_ref().ok().map(|answered| answered.outcome);
        let expected = match mood {
            Mood::Fine => Some(Done),
            Mood::RefuseAfterWriting => Some(Refused),
            Mood::Fault | Mood::Swallow | Mood::Panic => None,
        };
        assert_eq!(outcome, expected, "{mood:?}");
    }
    assert_eq!(left(database.pool()).await?, 97);
    assert_eq!(inbox_rows(database.pool()).await?, 4, "faults leave no row");
    Ok(())
}

fn announced(command: &CommandEnvelope) -> Claim {
    let CommandEnvelope { saga, step, leg, .. } = command;
    Claim { key: Key { saga: *saga, step: step.clone(), leg: *leg }, tombstone: false }
}

#[tokio::test]
async fn many_at_one_go_are_answered_like_each_alone_and_known_when_they_come_again()
-> anyhow::Result<()> {
    let database = shop::database(1000).await?;
    let bench = Bench::of(worker().set_wise::<Take>(), database.pool().clone());
    let commands = (0..100).map(|_| action(Mood::Fine)).collect::<Result<Vec<_>, _>>()?;
    // Some were announced, as an order's opening is: their rows are there.
    let announced: Vec<_> = commands.iter().step_by(3).map(announced).collect();
    inbox::claim(&mut *database.pool().acquire().await?, &announced).await?;
    let mut bodies = HashSet::new();
    for duplicate in [false, true] {
        let results = bench.handle_all(&commands).await;
        assert_eq!(results.len(), commands.len());
        for (result, command) in results.into_iter().zip(&commands) {
            let answered = result?;
            assert_eq!((answered.outcome, answered.duplicate), (Done, duplicate));
            let told: Vec<_> = answered.events.iter().map(|event| event.saga).collect();
            assert_eq!(told, [command.saga], "each tells its own event");
            bodies.insert(answered.body);
        }
        assert_eq!(bodies.len(), 100, "and has its own answer");
    }
    assert_eq!(bench.service.calls.load(SeqCst), 0, "none was handled alone");
    assert_eq!(left(database.pool()).await?, 900);
    Ok(())
}

#[tokio::test]
async fn a_refusal_among_many_at_one_go_leaves_nothing_and_the_others_are_done()
-> anyhow::Result<()> {
    let database = shop::database(5).await?;
    let bench = Bench::of(worker().set_wise::<Take>(), database.pool().clone());
    let moods = [Mood::RefuseAfterWriting, Mood::Fine, Mood::RefuseAfterWriting, Mood::Fine];
    let commands = moods.into_iter().map(action).collect::<Result<Vec<_>, _>>()?;
    for duplicate in [false, true] {
        let mut answers = Vec::new();
        for result in bench.handle_all(&commands).await {
            let answered = result?;
            assert_eq!(answered.duplicate, duplicate);
            answers.push((answered.outcome, answered.body, answered.events.len()));
        }
        let refused = || (Refused, "\"changed my mind\"".to_owned(), 0);
        let done = |left| (Done, format!("\"{left} left\""), 1);
        assert_eq!(answers, [refused(), done(4), refused(), done(3)]);
    }
    assert_eq!((bench.service.calls.load(SeqCst), left(database.pool()).await?), (0, 3));
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_done_at_one_go_leaves_nothing_and_is_handled_one_by_one()
-> anyhow::Result<()> {
    let database = shop::database(3).await?;
    let bench = Bench::of(worker().set_wise::<Take>(), database.pool().clone());
    let moods = [Mood::Fine, Mood::Fault, Mood::Fine, Mood::RefuseAfterWriting, Mood::Fine];
    let commands = moods.into_iter().map(action).collect::<Result<Vec<_>, _>>()?;
    let results = bench.handle_all(&commands).await;
    let outcomes: Vec<_> = results.into_iter().map(|it| it.ok().map(|it| it.outcome)).collect();
    assert_eq!(outcomes, [Some(Done), None, Some(Done), Some(Refused), Some(Done)]);
    assert_eq!(left(database.pool()).await?, 0);
    Ok(())
}

#[tokio::test]
async fn commands_of_one_step_keep_their_order_within_a_batch() -> anyhow::Result<()> {
    let (database, bench) = bench(100).await?;
    let (forward, backward) = (saga(), saga());
    let act = |saga| envelope(saga, STEP, Leg::Action, &take(Mood::Fine));
    let undo = |saga| envelope(saga, STEP, Leg::Compensation, &give_back());
    let commands = [act(forward)?, undo(backward)?, act(forward)?, undo(forward)?, act(backward)?];
    let results = bench.handle_all(&commands).await;
    let outcomes: Vec<_> = results.into_iter().map(|result| result.map(|it| it.outcome)).collect();
    let outcomes = outcomes.into_iter().collect::<Result<Vec<_>, _>>()?;
    assert_eq!(outcomes, [Done, Done, Done, Done, Refused]);
    assert_eq!(left(database.pool()).await?, 100);
    Ok(())
}

/// Both get all commands, each in an order of its own.
#[tokio::test]
async fn two_instances_with_the_same_commands_do_each_of_them_once() -> anyhow::Result<()> {
    let (database, one) = bench(1000).await?;
    let other = Bench::of(worker(), database.pool().clone());
    let commands = (0..100).map(|_| action(Mood::Fine)).collect::<Result<Vec<_>, _>>()?;
    let reversed: Vec<_> = commands.iter().rev().cloned().collect();
    let (first, second) = tokio::join!(one.handle_all(&commands), other.handle_all(&reversed));
    let mut fresh = HashSet::new();
    for result in first.into_iter().chain(second) {
        let answered = result?;
        assert_eq!(answered.outcome, Done);
        if !answered.duplicate {
            assert!(fresh.insert(answered.body), "each call saw another number on the shelf");
        }
    }
    assert_eq!(fresh.len(), 100);
    assert_eq!(left(database.pool()).await?, 900);
    Ok(())
}
