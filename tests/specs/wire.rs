//! The test's own hand on the broker: it says what a service could have said, and takes out of a
//! queue what a service would have taken.

use anyhow::{Context, Result, ensure};
use contracts::{CommandEnvelope, Leg, Outcome, ReplyEnvelope, SagaId};
use messaging::{
    Amqp, Consumer, Headers, Incoming, Outgoing, Properties, Publisher, Topology, dead_letter_queue,
};
use runtime::{config::Redacted, health::Health, shutdown::Shutdown};
use serde_json::Value;
use sqlx::{PgPool, types::Json};
use testkit::{PATIENCE, Stack, eventually};
use tokio::time::timeout;

pub struct Wire {
    amqp: Amqp,
    publisher: Publisher,
    /// Where the orchestrator keeps dead letters.
    journal: PgPool,
    health: Health,
    shutdown: Shutdown,
}

impl Wire {
    pub fn to(stack: &Stack) -> Result<Self> {
        let amqp = Amqp::new(Redacted::new(stack.amqp_url()), "spec")?;
        let (health, shutdown) = (Health::new(), Shutdown::manual());
        let publisher = Publisher::start(&amqp, health.part("publisher"), &shutdown);
        let journal = stack.database("orchestrator")?.pool().clone();
        Ok(Wire { amqp, publisher, journal, health, shutdown })
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

    /// The dead letters of these ids, of a participant or of the orchestrator, once they are
    /// collected.
    pub async fn dead_letters(&self, owner: &str, ids: &[String]) -> Result<Vec<Incoming>> {
        let what = format!("{} dead letters of {owner}", ids.len());
        eventually(PATIENCE, &what, async || {
            let rows: Vec<(Vec<u8>, Json<Headers>, Json<Properties>)> = sqlx::query_as(
                "SELECT body, headers, properties FROM dead_letter
                  WHERE participant = $1 AND message_id = ANY($2)",
            )
            .bind(owner)
            .bind(ids)
            .fetch_all(&self.journal)
            .await?;
            ensure!(rows.len() == ids.len(), "there are {}", rows.len());
            let letter = |(body, Json(headers), Json(properties))| Incoming {
                queue: dead_letter_queue(owner),
                properties,
                headers,
                body,
                ..Incoming::default()
            };
            Ok(rows.into_iter().map(letter).collect())
        })
        .await
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
