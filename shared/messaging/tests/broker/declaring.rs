use crate::scratch::Scratch;
use anyhow::Result;
use lapin::{options::QueueDeclareOptions, types::FieldTable};
use messaging::{Error, Topology};
use std::time::Duration;
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread")]
async fn declaring_twice_changes_nothing() -> Result<()> {
    let topology = Topology::participant("inventory").events(&["order.*"]);
    let scratch = Scratch::prepared(&topology).await?;
    messaging::prepare(&scratch.amqp(), &topology, &scratch.shutdown).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_with_other_arguments_is_an_error_that_names_it() -> Result<()> {
    let scratch = Scratch::new().await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), lapin::types::AMQPValue::LongString("quorum".into()));
    let channel = scratch.channel().await?;
    channel
        .queue_declare("inventory.retry.5s".into(), QueueDeclareOptions::durable(), arguments)
        .await?;

    let topology = Topology::participant("inventory");
    let error = messaging::prepare(&scratch.amqp(), &topology, &scratch.shutdown).await;
    let error = error.unwrap_err();
    assert!(error.is_permanent());
    let Error::Mismatch { queue, difference } = &error else { panic!("{error}") };
    assert_eq!(queue, "inventory.retry.5s");
    assert!(difference.contains("x-"), "{difference}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_may_not_declare_uses_what_is_there() -> Result<()> {
    let topology = Topology::participant("inventory");
    let scratch = Scratch::prepared(&topology).await?;
    let lowly = scratch.lowly().await?;
    messaging::prepare(&lowly, &topology, &scratch.shutdown).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_broker_that_is_not_there_ends_with_shutdown() -> Result<()> {
    let scratch = Scratch::new().await?;
    let nowhere = scratch.amqp_as("nobody", "wrong");
    let topology = Topology::orchestrator();
    let preparing = messaging::prepare(&nowhere, &topology, &scratch.shutdown);
    let stopping = async { scratch.shutdown.begin() };
    let (prepared, ()) =
        timeout(Duration::from_secs(10), async { tokio::join!(preparing, stopping) }).await?;
    assert!(matches!(prepared, Err(Error::Stopped)));
    Ok(())
}
