//! Wakes the sagas whose time has come: no answer in time, a rest that is over, a deadline. What
//! makes a saga impossible to forget, whatever happens to messages and processes.

use crate::{
    engine::{Engine, Occurrence},
    journal,
    sending::Sender,
    trail::Trail,
};
use contracts::SagaId;
use messaging::spans::Transaction;
use runtime::{health::Part, sabotage::Safety, shutdown::Shutdown};
use std::time::Duration;

const PAUSE: Duration = Duration::from_millis(250);
const MOST: i64 = 200;

pub struct Wakeups {
    pub engine: Engine,
    pub sender: Sender,
    pub database: Part,
    pub shutdown: Shutdown,
}

impl Wakeups {
    /// Until shutdown begins.
    pub async fn run(self) {
        let definitions: Vec<String> = self
            .engine
            .catalogue
            .iter()
            .map(|definition| {
                format!("{}/{}", definition.plan().name(), definition.plan().version())
            })
            .collect();
        while !self.shutdown.is_begun() {
            let more = match self.pass(&definitions).await {
                Ok(more) => {
                    self.database.up();
                    more
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot look for due sagas");
                    self.database.down("the database does not answer");
                    false
                }
            };
            if !more {
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => {}
                    () = self.shutdown.begun() => {}
                }
            }
        }
    }

    /// One look. `true` when there may be more to do at once.
    async fn pass(&self, definitions: &[String]) -> Result<bool, sqlx::Error> {
        // While the broker is away silence means nothing, and no attempt may be spent on it.
        if !self.sender.publisher.is_connected() || Safety::Wakeup.is_off() {
            return Ok(false);
        }
        let due = store::in_time(journal::due(&self.engine.pool, definitions, MOST)).await?;
        if due.is_empty() {
            return Ok(false);
        }
        let more = i64::try_from(due.len()).is_ok_and(|found| found == MOST);
        let batch: Vec<Occurrence> =
            due.into_iter().map(|id| Occurrence::Wake(SagaId(id))).collect();
        let (mut trail, transaction) = (Trail::begin(), Transaction::begin("orchestrator"));
        let advanced = self.engine.advance(&batch).await?;
        trail.stored(&batch, &[], &advanced, transaction);
        metrics::counter!("sagas_woken_total").increment(batch.len() as u64);
        let commands = trail.commands(&batch, &advanced.commands);
        // Stopping: the next wake-up sends what was not sent.
        let _ = self.sender.send(commands).await;
        Ok(more)
    }
}
