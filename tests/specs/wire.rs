//! The test's own hand on the broker: it says what a service could have said, and takes out of a
//! queue what a service would have taken.

use anyhow::{Context, Result, ensure};
use contracts::{CommandEnvelope, Leg, Outcome, ReplyEnvelope, SagaId};
use messaging::{Amqp, Consumer, Incoming, Outgoing, Publisher, Topology, dead_letter_queue};
use runtime::{config::Redacted, health::Health, shutdown::Shutdown};
use serde_json::Value;
use testkit::{PATIENCE, Stack};
use tokio::time::timeout;

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

    /// Returns when every message is in its queue.
    pub async fn send(&self, messages: &[Outgoing]) -> Result<()> {
        let sent = self.publisher.send_until_confirmed(messages, &self.shutdown);
        timeout(PATIENCE, sent).await.context("the broker confirms nothing")??;
        Ok(())
    }

    /// The next so many messages of a queue, taken away for good.
    pub async fn take(
        &self,
        queue: &str,
        topology: Topology,
        count: usize,
    ) -> Result<Vec<Incoming>> {
        let part = self.health.part(queue);
        let consumer = Consumer::start(&self.amqp, queue, topology, 1, part, &self.shutdown);
        let mut taken = Vec::new();
        while taken.len() < count {
            let batch = timeout(PATIENCE, consumer.next_batch(1)).await;
            let batch = batch.with_context(|| format!("only {} in {queue}", taken.len()))?;
            for delivery in batch.context("the consumer has ended")? {
                taken.push(delivery.incoming.clone());
                delivery.ack().await;
            }
        }
        consumer.close().await;
        Ok(taken)
    }

    /// Commands out of a participant's queue.
    pub async fn commands(&self, participant: &str, count: usize) -> Result<Vec<Incoming>> {
        let queue = messaging::command_queue(participant);
        self.take(&queue, Topology::participant(participant), count).await
    }

    /// Dead letters of a participant, or of the orchestrator.
    pub async fn dead_letters(&self, owner: &str, count: usize) -> Result<Vec<Incoming>> {
        let topology = match owner {
            "orchestrator" => Topology::orchestrator(),
            _ => Topology::participant(owner),
        };
        self.take(&dead_letter_queue(owner), topology, count).await
    }
}

/// The command of a leg as the orchestrator sent it, told by what the saga shows of itself.
pub fn command(saga: &Value, step: &str, leg: Leg) -> Result<CommandEnvelope> {
    let text = |value: &Value| value.as_str().map(str::to_owned).context("no text");
    let shown = saga["steps"].as_array().context("no steps")?;
    let shown = shown.iter().find(|shown| shown["name"] == step).context("no such step")?;
    let shown = match leg {
        Leg::Action => shown,
        Leg::Compensation => &shown["compensation"],
    };
    ensure!(shown["payload"].is_object(), "{step} was not asked for: {shown}");
    let id: SagaId = text(&saga["saga_id"])?.parse()?;
    Ok(CommandEnvelope {
        saga: id,
        definition: text(&saga["definition"])?,
        step: step.to_owned(),
        leg,
        attempt: 1,
        kind: text(&shown["command"])?,
        deadline: std::time::SystemTime::now().into(),
        traceparent: None,
        body: shown["payload"].to_string().into_bytes(),
    })
}

/// What the participant answered to a step's action, or could have.
pub fn reply(saga: &Value, step: &str, outcome: Outcome) -> Result<ReplyEnvelope> {
    let shown = saga["steps"].as_array().context("no steps")?;
    let shown = shown.iter().find(|shown| shown["name"] == step).context("no such step")?;
    let body = shown["reply"].to_string().into_bytes();
    Ok(ReplyEnvelope::to(&command(saga, step, Leg::Action)?, outcome, body))
}
