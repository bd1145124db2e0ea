//! The test's own hand on the broker.

use anyhow::{Context, Result};
use contracts::{CommandEnvelope, Leg, SagaId};
use messaging::{Amqp, Consumer, DeadReason, Outgoing, Publisher, Topology, command_queue};
use runtime::{config::Redacted, health::Health, shutdown::Shutdown};
use testkit::{PATIENCE, Stack};
use tokio::time::timeout;
use uuid::Uuid;

pub struct Wire {
    amqp: Amqp,
    publisher: Publisher,
    health: Health,
    shutdown: Shutdown,
}

impl Wire {
    pub fn to(stack: &Stack) -> Result<Self> {
        let amqp = Amqp::new(Redacted::new(stack.amqp_url()), "spec")?;
        let (health, shutdown) = (Health::new(), Shutdown::manual());
        let publisher = Publisher::start(&amqp, health.part("publisher"), &shutdown);
        Ok(Wire { amqp, publisher, health, shutdown })
    }

    /// A command that payment cannot read, and so buries.
    pub async fn send_unreadable(&self) -> Result<()> {
        self.send(Outgoing::command(&CommandEnvelope {
            saga: SagaId(Uuid::now_v7()),
            definition: "place-order".to_owned(),
            step: "authorise-payment".to_owned(),
            leg: Leg::Action,
            attempt: 1,
            kind: "payment.authorise".to_owned(),
            deadline: std::time::SystemTime::now().into(),
            traceparent: None,
            body: b"no <b>JSON</b>".to_vec(),
        }))
        .await
    }

    /// Takes the next commands of a participant that does not run, and buries them in its place.
    pub async fn bury_next(&self, participant: &str, count: usize) -> Result<()> {
        let queue = command_queue(participant);
        let topology = Topology::participant(participant);
        let part = self.health.part(&queue);
        let consumer = Consumer::start(&self.amqp, &queue, topology, 1, part, &self.shutdown);
        for _ in 0..count {
            let batch = timeout(PATIENCE, consumer.next_batch(1)).await.context("no command")?;
            let delivery =
                batch.and_then(|mut batch| batch.pop()).context("the consumer has ended")?;
            let error = "the carrier did not answer";
            let (incoming, reason) = (&delivery.incoming, DeadReason::AttemptsSpent);
            self.send(Outgoing::dead_letter(incoming, participant, reason, error, 3)).await?;
            delivery.ack().await;
        }
        consumer.close().await;
        Ok(())
    }

    async fn send(&self, message: Outgoing) -> Result<()> {
        let messages = [message];
        let sent = self.publisher.send_until_confirmed(&messages, &self.shutdown);
        timeout(PATIENCE, sent).await.context("the broker confirms nothing")??;
        Ok(())
    }
}
