use crate::scratch::{Scratch, batch, command, deliveries, eventually};
use anyhow::Result;
use contracts::{EventEnvelope, Outcome, ReplyEnvelope, SagaId};
use messaging::{Outgoing, Topology, Unroutable};
use std::sync::atomic::{AtomicBool, Ordering};

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmed_message_arrives_as_it_was_sent() -> Result<()> {
    let topology = Topology::participant("inventory");
    let scratch = Scratch::prepared(&topology).await?;
    let (publisher, sent) = (scratch.publisher(), command("inventory", 7));
    assert_eq!(publisher.send(&[Outgoing::command(&sent)]).await?, []);

    let consumer = scratch.consumer("inventory.commands", topology, 10);
    let mut got = batch(&consumer, 10).await?;
    let incoming = &got[0].incoming;
    assert_eq!(incoming.command()?, sent);
    assert_eq!((incoming.message_id(), incoming.kind()), (&*sent.message_id(), &*sent.kind));
    assert_eq!(incoming.properties.app_id.as_deref(), Some("tester"));
    assert_eq!(incoming.properties.user_id.as_deref(), Some(scratch.amqp().login()));
    assert!(incoming.properties.timestamp.is_some());
    assert_eq!((incoming.delivery_count, incoming.redelivered), (0, false));
    got.remove(0).ack().await;
    consumer.close().await;
    publisher.close().await;
    scratch.holds("inventory.commands", 0).await
}

/// Eight senders at once, each with its own unroutable messages among good ones. The broker
/// confirms many at a time, and then the returned copies hang on other messages' confirms: whoever
/// trusted those would lose a message.
#[tokio::test(flavor = "multi_thread")]
async fn unroutable_messages_are_named_to_their_sender_and_the_others_arrive() -> Result<()> {
    let scratch = Scratch::prepared(&Topology::participant("inventory")).await?;
    let publisher = scratch.publisher();
    let senders = (0..8).map(|sender| {
        let publisher = publisher.clone();
        tokio::spawn(async move {
            for round in 0..3 {
                let lost = |index: usize| (index + sender).is_multiple_of(3);
                let messages: Vec<_> = (0..300)
                    .map(|index| {
                        let participant = if lost(index) { "nobody" } else { "inventory" };
                        let number = (sender * 3 + round) * 300 + index;
                        Outgoing::command(&command(participant, number))
                    })
                    .collect();
                let named = publisher.send(&messages).await?;
                let expected: Vec<_> = (0..300)
                    .filter(|&index| lost(index))
                    .map(|index| Unroutable {
                        index,
                        exchange: "saga.commands".to_owned(),
                        key: "nobody.commands".to_owned(),
                    })
                    .collect();
                assert_eq!(named, expected);
            }
            anyhow::Ok(())
        })
    });
    for sender in senders.collect::<Vec<_>>() {
        sender.await??;
    }
    let lost: usize = (0..8).map(|s| (0..300).filter(|i| (i + s) % 3 == 0).count() * 3).sum();
    scratch.holds("inventory.commands", u32::try_from(8 * 3 * 300 - lost)?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_sent_again_until_its_queue_is_there() -> Result<()> {
    let scratch = Scratch::prepared(&Topology::orchestrator()).await?;
    let publisher = scratch.publisher();
    let done = AtomicBool::new(false);
    let message = [Outgoing::command(&command("late", 1))];
    let sending = async {
        publisher.send_until_confirmed(&message, &scratch.shutdown).await?;
        done.store(true, Ordering::SeqCst);
        anyhow::Ok(())
    };
    let appearing = async {
        assert_eq!(publisher.send(&message).await?.len(), 1);
        assert!(!done.load(Ordering::SeqCst));
        messaging::prepare(&scratch.amqp(), &Topology::participant("late"), &scratch.shutdown)
            .await?;
        scratch.holds("late.commands", 1).await
    };
    tokio::try_join!(sending, appearing)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_without_subscribers_holds_nobody_up() -> Result<()> {
    let scratch = Scratch::prepared(&Topology::orchestrator()).await?;
    let event = EventEnvelope {
        id: "1/order.confirmed".to_owned(),
        saga: SagaId(uuid::Uuid::nil()),
        kind: "order.confirmed".to_owned(),
        traceparent: None,
        body: serde_json::json!({}),
    };
    let publisher = scratch.publisher();
    assert_eq!(publisher.send(&[Outgoing::event(&event)]).await?.len(), 1);
    publisher.send_until_confirmed(&[Outgoing::event(&event)], &scratch.shutdown).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_reaches_every_subscriber_that_wants_its_type() -> Result<()> {
    let topology = Topology::subscriber("analytics", &["order.*"]);
    let scratch = Scratch::prepared(&topology).await?;
    let other = Topology::participant("inventory").events(&["order.confirmed"]);
    messaging::prepare(&scratch.amqp(), &other, &scratch.shutdown).await?;
    let event = |kind: &str| {
        Outgoing::event(&EventEnvelope {
            id: format!("1/{kind}"),
            saga: SagaId(uuid::Uuid::nil()),
            kind: kind.to_owned(),
            traceparent: None,
            body: serde_json::json!({ "order": 1 }),
        })
    };
    let events = [event("order.confirmed"), event("order.created")];
    assert_eq!(scratch.publisher().send(&events).await?, []);
    scratch.holds("analytics.events", 2).await?;
    scratch.holds("inventory.events", 1).await
}

/// The broker answers a forged `user_id` with the end of the channel.
#[tokio::test(flavor = "multi_thread")]
async fn another_logins_name_is_never_sent() -> Result<()> {
    let topology = Topology::orchestrator();
    let scratch = Scratch::prepared(&topology).await?;
    let mut reply = ReplyEnvelope::to(&command("inventory", 1), Outcome::Done, b"null".to_vec());
    reply.from = Some("somebody-else".to_owned());
    assert_eq!(scratch.publisher().send(&[Outgoing::reply(&reply)]).await?, []);
    let consumer = scratch.consumer("orchestrator.replies", topology, 10);
    let got = deliveries(&consumer, 1).await?;
    assert_eq!(got[0].incoming.reply()?.from, None);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_is_ready_only_while_it_is_connected() -> Result<()> {
    let scratch = Scratch::prepared(&Topology::orchestrator()).await?;
    let publisher = scratch.publisher();
    eventually("ready", async || scratch.health.is_ready()).await?;
    publisher.close().await;
    let message = [Outgoing::command(&command("inventory", 1))];
    let refused = publisher.send(&message).await.unwrap_err();
    assert_eq!(refused.to_string(), "the publisher is closed");
    Ok(())
}
