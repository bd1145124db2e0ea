//! Many commands in one message, for queues that say they take them.

use crate::scratch::{Scratch, batch, command, deliveries};
use anyhow::Result;
use lapin::{BasicProperties, options::BasicPublishOptions};
use messaging::{Amqp, DeadReason, Delivery, Incoming, Outgoing, Tier, Topology};

const QUEUE: &str = "inventory.commands";

fn commands(range: std::ops::Range<usize>) -> Vec<Outgoing> {
    range.map(|number| Outgoing::command(&command("inventory", number))).collect()
}

fn packing(scratch: &Scratch) -> Amqp {
    scratch.amqp().packing(32)
}

async fn prepared(topology: &Topology) -> Result<Scratch> {
    let scratch = Scratch::new().await?;
    messaging::prepare(&packing(&scratch), topology, &scratch.shutdown).await?;
    Ok(scratch)
}

fn ids(deliveries: &[Delivery]) -> Vec<&str> {
    deliveries.iter().map(|delivery| delivery.incoming.message_id()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_share_messages_and_arrive_as_if_each_had_come_alone() -> Result<()> {
    let topology = Topology::participant("inventory");
    let scratch = prepared(&topology).await?;
    let sent = commands(0..100);
    assert_eq!(scratch.publisher_of(&packing(&scratch)).send(&sent).await?, []);
    scratch.holds(QUEUE, 4).await?;

    let consumer = scratch.consumer_of(&packing(&scratch), QUEUE, topology, 10);
    let got = deliveries(&consumer, 100).await?;
    for (number, delivery) in got.iter().enumerate() {
        let Incoming { exchange, key, queue, properties, .. } = &delivery.incoming;
        assert_eq!(delivery.incoming.command()?, command("inventory", number));
        assert_eq!((&**exchange, &**key, &**queue), ("saga.commands", QUEUE, QUEUE));
        assert_eq!(properties.content_type.as_deref(), Some("application/json"));
        assert_eq!(properties.app_id.as_deref(), Some("tester"));
        assert_eq!(properties.user_id.as_deref(), Some(scratch.amqp().login()));
        assert!(properties.timestamp.is_some());
    }
    Delivery::ack_all(got).await;
    consumer.close().await;
    scratch.holds(QUEUE, 0).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_few_commands_go_one_by_one() -> Result<()> {
    let topology = Topology::participant("inventory");
    let scratch = prepared(&topology).await?;
    scratch.publisher_of(&packing(&scratch)).send(&commands(0..3)).await?;
    scratch.holds(QUEUE, 3).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_participant_that_knows_no_packs_is_sent_none() -> Result<()> {
    let scratch = Scratch::prepared(&Topology::participant("inventory")).await?;
    let publisher = scratch.publisher_of(&packing(&scratch));
    for sent in 1..=3 {
        assert_eq!(publisher.send(&commands(0..100)).await?, []);
        scratch.holds(QUEUE, sent * 100).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_participant_that_wants_no_packs_any_more_is_sent_none() -> Result<()> {
    let topology = Topology::participant("inventory");
    let scratch = prepared(&topology).await?;
    messaging::prepare(&scratch.amqp(), &topology, &scratch.shutdown).await?;
    scratch.publisher_of(&packing(&scratch)).send(&commands(0..100)).await?;
    scratch.holds(QUEUE, 100).await
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_whose_queue_is_gone_are_named_one_by_one() -> Result<()> {
    let scratch = prepared(&Topology::participant("inventory")).await?;
    scratch.delete_queue(QUEUE).await?;
    let mut sent = commands(0..10);
    sent.push(Outgoing::retry(&incoming(&scratch).await?, "inventory", Tier::OneSecond, "no"));
    let unroutable = scratch.publisher_of(&packing(&scratch)).send(&sent).await?;
    let named: Vec<_> = unroutable.iter().map(|message| (message.index, &*message.key)).collect();
    assert_eq!(named, (0..10).map(|index| (index, QUEUE)).collect::<Vec<_>>());
    Ok(())
}

/// A command as somebody has taken it.
async fn incoming(scratch: &Scratch) -> Result<Incoming> {
    let topology = Topology::participant("other");
    messaging::prepare(&packing(scratch), &topology, &scratch.shutdown).await?;
    scratch.publisher().send(&[Outgoing::command(&command("other", 1))]).await?;
    let consumer = scratch.consumer("other.commands", topology, 1);
    let delivery = batch(&consumer, 1).await?.remove(0);
    let incoming = delivery.incoming.clone();
    delivery.ack().await;
    Ok(incoming)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_comes_again_as_long_as_one_of_its_commands_is_not_dealt_with() -> Result<()> {
    let topology = Topology::participant("inventory");
    let scratch = prepared(&topology).await?;
    scratch.publisher_of(&packing(&scratch)).send(&commands(0..8)).await?;
    let consumer = scratch.consumer_of(&packing(&scratch), QUEUE, topology, 10);
    let mut first = deliveries(&consumer, 8).await?;
    let last = first.pop();
    Delivery::ack_all(first).await;
    drop(last); // a failed attempt
    let again = deliveries(&consumer, 8).await?;
    assert!(again.iter().all(|again| again.incoming.redelivered));
    assert!(again.iter().all(|again| again.incoming.delivery_count == 1));
    let sent = commands(0..8);
    let sent: Vec<_> =
        sent.iter().filter_map(|sent| sent.properties.message_id.as_deref()).collect();
    assert_eq!(ids(&again), sent);
    Delivery::ack_all(again).await;
    consumer.close().await;
    scratch.holds(QUEUE, 0).await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_pack_only_the_poisonous_command_is_poison() -> Result<()> {
    let topology = Topology::participant("inventory");
    let scratch = prepared(&topology).await?;
    let mut sent = commands(0..5);
    sent[2].body = br#"{"text":"\u0000"}"#.to_vec();
    sent[3].body = b"no JSON: goes alone".to_vec();
    scratch.publisher_of(&packing(&scratch)).send(&sent).await?;
    scratch.holds(QUEUE, 2).await?;
    let consumer = scratch.consumer_of(&packing(&scratch), QUEUE, topology, 10);
    let got = deliveries(&consumer, 5).await?;
    let poison: Vec<_> = got
        .iter()
        .filter_map(|delivery| {
            Some((delivery.incoming.message_id(), delivery.incoming.command().err()?))
        })
        .collect();
    let mut poisonous: Vec<_> = poison.iter().map(|(id, poison)| (*id, poison.reason)).collect();
    poisonous.sort_unstable();
    let id = |index: usize| sent[index].properties.message_id.as_deref().unwrap_or_default();
    assert_eq!(poisonous, [(id(2), DeadReason::NotJson), (id(3), DeadReason::NotJson)]);
    Delivery::ack_all(got).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_that_cannot_be_read_is_poison_as_a_whole() -> Result<()> {
    let topology = Topology::participant("inventory");
    let scratch = prepared(&topology).await?;
    let channel = scratch.channel().await?;
    let properties =
        BasicProperties::default().with_content_type("application/vnd.saga.pack+json".into());
    let (exchange, key) = ("saga.commands".into(), "inventory.commands.packed".into());
    let options = BasicPublishOptions::default();
    channel.basic_publish(exchange, key, options, b"[{}]", properties).await?.await?;
    let consumer = scratch.consumer_of(&packing(&scratch), QUEUE, topology, 10);
    let delivery = batch(&consumer, 1).await?.remove(0);
    let poison = delivery.incoming.command().unwrap_err();
    assert_eq!(poison.reason, DeadReason::NotJson);
    assert!(poison.error.contains("pack"), "{}", poison.error);
    delivery.ack().await;
    Ok(())
}
