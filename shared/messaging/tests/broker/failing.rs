use crate::scratch::{Scratch, batch, command, eventually};
use anyhow::Result;
use messaging::{Delivery, Outgoing, Topology};
use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_queue_comes_back_and_consuming_goes_on() -> Result<()> {
    let topology = Topology::participant("inventory");
    let scratch = Scratch::prepared(&topology).await?;
    let publisher = scratch.publisher();
    let consumer = scratch.consumer("inventory.commands", topology, 10);
    let message = |number| [Outgoing::command(&command("inventory", number))];
    for number in 0..3 {
        publisher.send_until_confirmed(&message(number), &scratch.shutdown).await?;
        Delivery::ack_all(batch(&consumer, 10).await?).await;
        scratch.delete_queue("inventory.commands").await?;
    }
    publisher.send_until_confirmed(&message(3), &scratch.shutdown).await?;
    let got = batch(&consumer, 10).await?;
    assert_eq!(got[0].incoming.command()?, command("inventory", 3));
    eventually("ready again", async || scratch.health.is_ready()).await
}

/// Both connections are closed under a steady stream, again and again.
#[tokio::test(flavor = "multi_thread")]
async fn closed_connections_are_replaced_and_nothing_confirmed_is_lost() -> Result<()> {
    let topology = Topology::participant("inventory");
    let scratch = Scratch::prepared(&topology).await?;
    let (publisher, consumer) =
        (scratch.publisher(), scratch.consumer("inventory.commands", topology, 50));
    let (done, confirmed) = (AtomicBool::new(false), Mutex::new(BTreeSet::new()));
    let publishing = async {
        let mut number = 0;
        while !done.load(Ordering::SeqCst) {
            let sagas: Vec<_> = (number..number + 20).map(|n| command("inventory", n)).collect();
            number += 20;
            let messages: Vec<_> = sagas.iter().map(Outgoing::command).collect();
            // A failed send may have arrived in part; only a confirmed one must have arrived.
            if publisher.send(&messages).await.is_ok_and(|unroutable| unroutable.is_empty()) {
                confirmed.lock().unwrap().extend(sagas.iter().map(|command| command.saga));
            }
        }
        anyhow::Ok(())
    };
    let cutting = async {
        for purpose in ["publisher", "consumer inventory.commands", "publisher"] {
            let before = confirmed.lock().unwrap().len();
            eventually("the connection is listed and cut", async || {
                scratch.cut(purpose).await.is_ok_and(|cut| cut > 0)
            })
            .await?;
            eventually("more is confirmed after the cut", async || {
                confirmed.lock().unwrap().len() > before + 200
            })
            .await?;
        }
        done.store(true, Ordering::SeqCst);
        anyhow::Ok(())
    };
    let consuming = async {
        let mut seen = BTreeSet::new();
        loop {
            if done.load(Ordering::SeqCst) && confirmed.lock().unwrap().is_subset(&seen) {
                return anyhow::Ok(());
            }
            // There may be nothing left to come but the word that it is over.
            let Ok(got) = timeout(Duration::from_millis(100), batch(&consumer, 100)).await else {
                continue;
            };
            let got = got?;
            for delivery in &got {
                seen.insert(delivery.incoming.command()?.saga);
            }
            Delivery::ack_all(got).await;
        }
    };
    tokio::try_join!(publishing, cutting, consuming)?;
    eventually("ready again", async || scratch.health.is_ready()).await
}

/// Deliveries of a connection that is gone are settled in vain, and come again.
#[tokio::test(flavor = "multi_thread")]
async fn settling_what_belongs_to_a_lost_connection_harms_nobody() -> Result<()> {
    let topology = Topology::participant("inventory");
    let scratch = Scratch::prepared(&topology).await?;
    scratch.publisher().send(&[Outgoing::command(&command("inventory", 1))]).await?;
    let consumer = scratch.consumer("inventory.commands", topology, 10);
    let lost = batch(&consumer, 1).await?;
    eventually("the connection is listed and cut", async || {
        scratch.cut("consumer inventory.commands").await.is_ok_and(|cut| cut > 0)
    })
    .await?;
    let again = batch(&consumer, 1).await?;
    assert_eq!(again[0].incoming.command()?, lost[0].incoming.command()?);
    Delivery::ack_all(lost.into_iter().chain(again)).await;
    consumer.close().await;
    scratch.holds("inventory.commands", 0).await
}
