//! What a service's RabbitMQ user may not do, tried as that user.

use anyhow::{Context, Result};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{
        BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, QueueBindOptions,
        QueueDeclareOptions,
    },
    types::FieldTable,
};
use std::time::Duration;
use testkit::ScratchVhost;
use tokio::time::timeout;

const REFUSED: u16 = 403;
const PRECONDITION_FAILED: u16 = 406;

struct Login {
    connection: Connection,
}

impl Login {
    async fn of(vhost: &ScratchVhost, service: &str) -> Result<Self> {
        let url = vhost.url_of(service)?;
        let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
        Ok(Login { connection })
    }

    async fn channel(&self) -> Result<Channel> {
        let channel = self.connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(channel)
    }

    async fn declare(&self, queue: &str) -> Result<(), lapin::Error> {
        let options = QueueDeclareOptions { durable: true, ..Default::default() };
        let channel = self.connection.create_channel().await?;
        channel.queue_declare(queue.into(), options, FieldTable::default()).await.map(drop)
    }

    /// The code that the channel was closed with, if it was.
    async fn publish(
        &self,
        exchange: &str,
        key: &str,
        user_id: Option<&str>,
    ) -> Result<Option<u16>> {
        let mut properties = BasicProperties::default();
        if let Some(user_id) = user_id {
            properties = properties.with_user_id(user_id.into());
        }
        let channel = self.channel().await?;
        let options = BasicPublishOptions::default();
        let sent = channel.basic_publish(exchange.into(), key.into(), options, b"{}", properties);
        let told = async { sent.await?.await };
        let told = timeout(Duration::from_secs(10), told).await.context("no answer")?;
        Ok(told.err().and_then(|error| code(&error)))
    }
}

fn code(error: &lapin::Error) -> Option<u16> {
    match error.kind() {
        lapin::ErrorKind::ProtocolError(error) => Some(error.get_id()),
        _ => None,
    }
}

#[tokio::test]
async fn a_service_uses_its_own_queues_and_no_others() -> Result<()> {
    let vhost = ScratchVhost::with_logins().await?;
    let (inventory, payment) =
        (Login::of(&vhost, "inventory").await?, Login::of(&vhost, "payment").await?);
    payment.declare("payment.commands").await?;
    inventory.declare("inventory.commands").await?;
    let denied = inventory.declare("payment.retry.1s").await.unwrap_err();
    assert_eq!(code(&denied), Some(REFUSED));
    let consumed = inventory
        .channel()
        .await?
        .basic_consume(
            "payment.commands".into(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await;
    assert_eq!(consumed.err().as_ref().and_then(code), Some(REFUSED));
    let stolen = inventory
        .channel()
        .await?
        .queue_bind(
            "inventory.commands".into(),
            "saga.replies".into(),
            "orchestrator.replies".into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        )
        .await;
    assert_eq!(stolen.err().as_ref().and_then(code), Some(REFUSED));
    Ok(())
}

/// Consumes, or the code that it is refused with.
async fn consume(login: &Login, queue: &str) -> Result<Option<u16>> {
    let channel = login.channel().await?;
    let options = BasicConsumeOptions::default();
    let consumed =
        channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await;
    Ok(consumed.err().and_then(|error| code(&error)))
}

#[tokio::test]
async fn the_orchestrator_reads_its_own_queues_and_everybodys_dead_letters_and_nothing_else()
-> Result<()> {
    let vhost = ScratchVhost::with_logins().await?;
    let orchestrator = Login::of(&vhost, "orchestrator").await?;
    orchestrator.declare("orchestrator.replies").await?;
    assert_eq!(consume(&orchestrator, "orchestrator.replies").await?, None);
    for service in ["payment", "analytics"] {
        let owner = Login::of(&vhost, service).await?;
        let queue = |name: &str| format!("{service}.{name}");
        for name in ["commands", "events", "retry.1s", "dead-letters", "dead-letters.more"] {
            owner.declare(&queue(name)).await?;
        }
        assert_eq!(consume(&orchestrator, &queue("dead-letters")).await?, None);
        for name in ["commands", "events", "retry.1s", "dead-letters.more"] {
            let denied = consume(&orchestrator, &queue(name)).await?;
            assert_eq!(denied, Some(REFUSED), "{service}: {name}");
        }
        let denied = orchestrator.declare(&queue("dead-letters-of-mine")).await.unwrap_err();
        assert_eq!(code(&denied), Some(REFUSED), "it reads them, and makes none");
    }
    let key = "payment.commands";
    assert_eq!(orchestrator.publish("", key, None).await?, Some(REFUSED));
    assert_eq!(
        orchestrator.publish("saga.replies", "orchestrator.replies", None).await?,
        Some(REFUSED)
    );
    let payment = Login::of(&vhost, "payment").await?;
    let taken = consume(&payment, "analytics.dead-letters").await?;
    assert_eq!(taken, Some(REFUSED), "nobody else reads them");
    Ok(())
}

#[tokio::test]
async fn a_service_speaks_only_for_itself() -> Result<()> {
    let vhost = ScratchVhost::with_logins().await?;
    let inventory = Login::of(&vhost, "inventory").await?;
    let key = "orchestrator.replies";
    assert_eq!(inventory.publish("saga.replies", key, Some("inventory")).await?, None);
    let forged = inventory.publish("saga.replies", key, Some("payment")).await?;
    assert_eq!(forged, Some(PRECONDITION_FAILED));
    assert_eq!(inventory.publish("saga.events", "inventory.restocked", None).await?, None);
    assert_eq!(inventory.publish("saga.events", "order.confirmed", None).await?, Some(REFUSED));
    assert_eq!(inventory.publish("", "payment.commands", None).await?, Some(REFUSED));
    let analytics = Login::of(&vhost, "analytics").await?;
    assert_eq!(analytics.publish("saga.replies", key, None).await?, Some(REFUSED));
    Ok(())
}
