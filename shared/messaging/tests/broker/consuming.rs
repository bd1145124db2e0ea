use crate::scratch::{PATIENCE, Scratch, batch, command, deliveries};
use anyhow::{Context, Result};
use lapin::{
    BasicProperties,
    options::{BasicGetOptions, BasicPublishOptions, BasicRejectOptions},
};
use messaging::{DeadReason, Delivery, Outgoing, Poison, Tier, Topology};
use std::collections::BTreeSet;
use tokio::time::timeout;

fn commands(range: std::ops::Range<usize>) -> Vec<Outgoing> {
    range.map(|number| Outgoing::command(&command("inventory", number))).collect()
}

async fn hand_back(batch: Vec<Delivery>) {
    for delivery in batch {
        delivery.hand_back().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_is_gone_and_the_rest_stays() -> Result<()> {
    let topology = Topology::participant("inventory");
    let scratch = Scratch::prepared(&topology).await?;
    scratch.publisher().send(&commands(0..100)).await?;
    let consumer = scratch.consumer("inventory.commands", topology.clone(), 100);
    let mut got = deliveries(&consumer, 100).await?;
    let kept = got.split_off(70);
    let single = got.split_off(60);
    Delivery::ack_all(got).await;
    for delivery in single {
        delivery.ack().await;
    }
    let kept: BTreeSet<_> =
        kept.into_iter().map(|kept| kept.incoming.message_id().to_owned()).collect();
    // Those were dropped: failed attempts, which come again.
    let again = deliveries(&consumer, 30).await?;
    let ids = again.iter().map(|again| again.incoming.message_id().to_owned()).collect();
    assert_eq!(kept, ids);
    assert!(again.iter().all(|again| again.incoming.delivery_count == 1));
    Delivery::ack_all(again).await;
    consumer.close().await;
    scratch.holds("inventory.commands", 0).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_hands_back_what_nobody_has_and_resuming_gets_it_again() -> Result<()> {
    let topology = Topology::participant("inventory");
    let scratch = Scratch::prepared(&topology).await?;
    scratch.publisher().send(&commands(0..20)).await?;
    let consumer = scratch.consumer("inventory.commands", topology, 20);
    let held = batch(&consumer, 1).await?;
    consumer.pause().await;
    scratch.holds("inventory.commands", 19).await?;
    for _ in 0..20 {
        consumer.resume();
        hand_back(batch(&consumer, 1).await?).await;
        consumer.pause().await;
    }
    // Not the pause of a lost connection: what was handed out before is still ours.
    Delivery::ack_all(held).await;
    consumer.resume();
    let rest = deliveries(&consumer, 19).await?;
    Delivery::ack_all(rest).await;
    consumer.close().await;
    scratch.holds("inventory.commands", 0).await
}

/// The liveness check throws a connection away when the broker counts no consumer.
#[tokio::test(flavor = "multi_thread")]
async fn the_broker_counts_a_consumer_from_its_first_message_to_its_pause() -> Result<()> {
    let topology = Topology::participant("inventory");
    let scratch = Scratch::prepared(&topology).await?;
    scratch.publisher().send(&commands(0..1)).await?;
    let consumer = scratch.consumer("inventory.commands", topology, 10);
    Delivery::ack_all(batch(&consumer, 1).await?).await;
    assert_eq!(scratch.consumers("inventory.commands").await?, 1);
    consumer.pause().await;
    assert_eq!(scratch.consumers("inventory.commands").await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_ends_the_batches_and_still_acknowledges_what_was_under_way() -> Result<()> {
    let topology = Topology::participant("inventory");
    let scratch = Scratch::prepared(&topology).await?;
    scratch.publisher().send(&commands(0..10)).await?;
    let consumer = scratch.consumer("inventory.commands", topology, 10);
    let under_way = deliveries(&consumer, 4).await?;
    scratch.shutdown.begin();
    assert!(timeout(PATIENCE, consumer.next_batch(10)).await?.is_none());
    scratch.holds("inventory.commands", 6).await?;
    Delivery::ack_all(under_way).await;
    consumer.close().await;
    scratch.holds("inventory.commands", 6).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retried_command_comes_back_after_its_delay_again_and_again() -> Result<()> {
    let topology = Topology::participant("inventory");
    let scratch = Scratch::prepared(&topology).await?;
    let (publisher, sent) = (scratch.publisher(), command("inventory", 1));
    publisher.send(&[Outgoing::command(&sent)]).await?;
    let consumer = scratch.consumer("inventory.commands", topology, 10);
    let mut first_failure = None;
    for retry in 0..3 {
        let delivery = batch(&consumer, 1).await?.remove(0);
        let incoming = &delivery.incoming;
        assert_eq!((incoming.retry_count(), incoming.command()?), (retry, sent.clone()));
        assert_eq!(incoming.first_failure(), first_failure);
        assert_eq!(incoming.death(), None);
        let again = Outgoing::retry(incoming, "inventory", Tier::OneSecond, "the database is away");
        assert_eq!(publisher.send(std::slice::from_ref(&again)).await?, []);
        delivery.ack().await;
        first_failure = first_failure.or(Some(time::OffsetDateTime::parse(
            again.headers.text("first-failure").context("no first failure")?,
            &time::format_description::well_known::Rfc3339,
        )?));
    }
    let last = batch(&consumer, 1).await?.remove(0);
    assert_eq!(last.incoming.last_error(), Some("the database is away"));
    last.ack().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_goes_to_the_dead_letters_with_everything_it_came_with() -> Result<()> {
    let topology = Topology::participant("inventory");
    let scratch = Scratch::prepared(&topology).await?;
    let publisher = scratch.publisher();
    let mut poison = Outgoing::command(&command("inventory", 1));
    poison.body = b"{\xff".to_vec();
    publisher.send(&[poison]).await?;

    let consumer = scratch.consumer("inventory.commands", topology.clone(), 10);
    let delivery = batch(&consumer, 1).await?.remove(0);
    let Poison { reason, error } = delivery.incoming.command().unwrap_err();
    let letter = Outgoing::dead_letter(&delivery.incoming, "inventory", reason, &error, 1);
    publisher.send_until_confirmed(&[letter], &scratch.shutdown).await?;
    let original = delivery.incoming.clone();
    delivery.ack().await;

    let dead = scratch.consumer("inventory.dead-letters", topology, 10);
    let dead = batch(&dead, 1).await?.remove(0);
    let death = dead.incoming.death().context("no death")?;
    assert_eq!(death.reason.parse(), Ok(DeadReason::NotJson));
    assert_eq!((&*death.from, death.attempts, death.error), ("inventory.commands", 1, error));
    assert_eq!(
        (&dead.incoming.body, &dead.incoming.properties),
        (&original.body, &original.properties)
    );
    for header in ["saga-definition", "saga-step", "saga-leg", "saga-deadline"] {
        assert_eq!(dead.incoming.headers.text(header), original.headers.text(header));
    }

    // Mended and replayed, it is the command that it was.
    let mut replayed = Outgoing::replay(&dead.incoming, &death.from);
    replayed.body = br#"{"number":1}"#.to_vec();
    assert_eq!(publisher.send(&[replayed]).await?, []);
    dead.ack().await;
    let again = batch(&consumer, 1).await?.remove(0);
    assert_eq!(again.incoming.command()?, command("inventory", 1));
    again.ack().await;
    Ok(())
}

/// Foreign clients send what they like, such as nothing but a body.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_without_any_property_is_poison_and_the_broker_keeps_what_is_rejected()
-> Result<()> {
    let topology = Topology::participant("inventory");
    let scratch = Scratch::prepared(&topology).await?;
    let channel = scratch.channel().await?;
    let (key, options) = ("inventory.commands", BasicPublishOptions::default());
    channel
        .basic_publish("".into(), key.into(), options, b"hello", BasicProperties::default())
        .await?
        .await?;
    let consumer = scratch.consumer(key, topology.clone(), 10);
    let delivery = batch(&consumer, 1).await?.remove(0);
    assert_eq!(delivery.incoming.command().unwrap_err().reason, DeadReason::BadHeader);
    delivery.hand_back().await;
    consumer.close().await;
    let got = channel.basic_get(key.into(), BasicGetOptions::default()).await?;
    let tag = got.context("it is not back in its queue")?.delivery_tag;
    channel.basic_reject(tag, BasicRejectOptions { requeue: false }).await?;

    let dead = scratch.consumer("inventory.dead-letters", topology, 10);
    let dead = batch(&dead, 1).await?.remove(0);
    let death = dead.incoming.death().context("no death")?;
    assert_eq!((&*death.reason, &*death.from), ("rejected", "inventory.commands"));
    dead.ack().await;
    Ok(())
}
