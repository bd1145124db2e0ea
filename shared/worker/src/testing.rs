//! A service on a bench: its handlers as they run in production, on a real database, without a
//! broker, for its tests.

use crate::{
    Answered, Fault, Worker,
    database::Database,
    desk::{self, Desk},
    listen,
};
use contracts::{Command, CommandEnvelope, Event, EventEnvelope, Leg, ReplyEnvelope, SagaId};
use runtime::shutdown::Shutdown;
use sqlx::PgPool;
use std::sync::Arc;
use store::Lanes;
use time::{Duration, OffsetDateTime};

/// Handles one message at a time, through inbox, barrier and phases, and without the retries
/// that follow a fault.
pub struct Bench<S> {
    pub service: Arc<S>,
    desk: Desk,
    database: Database,
}

impl<S: Send + Sync + 'static> Bench<S> {
    /// The service as registered with `worker`, on a database that has its tables.
    pub fn of(worker: Worker<S>, pool: PgPool) -> Self {
        let lanes = Lanes::over(pool.clone());
        let database = Database::new(worker.desk.name, pool, lanes, Shutdown::manual(), None);
        Bench { service: worker.service, desk: worker.desk, database }
    }

    /// A command with its answer, or its fault.
    pub async fn handle(&self, command: &CommandEnvelope) -> Result<Answered, Fault> {
        match self.desk.answer(&self.database, command).await {
            Ok(Some(result)) => result,
            Ok(None) => Err(Fault::permanent(format!("nobody handles {}", command.kind))),
            Err(stopped) => Err(Fault::transient(stopped)),
        }
    }

    /// Commands whose effects are in the database, as one batch; their results in order.
    pub async fn handle_all<'a>(
        &'a self,
        commands: &'a [CommandEnvelope],
    ) -> Vec<Result<Answered, Fault>> {
        let items: Vec<_> = commands.iter().filter_map(|command| self.desk.item(command)).collect();
        desk::answer_all(&self.database, &items).await.unwrap_or_default()
    }

    /// As the orchestrator would see it.
    pub async fn reply(&self, command: &CommandEnvelope) -> Result<ReplyEnvelope, Fault> {
        let answered = self.handle(command).await?;
        Ok(ReplyEnvelope::to(command, answered.outcome, answered.body.into_bytes()))
    }

    /// The action of `step`.
    pub async fn act<C: Command>(
        &self,
        saga: SagaId,
        step: &str,
        command: &C,
    ) -> Result<Answered, Fault> {
        self.handle(&envelope(saga, step, Leg::Action, command)?).await
    }

    /// The compensation of `step`.
    pub async fn undo<C: Command>(
        &self,
        saga: SagaId,
        step: &str,
        command: &C,
    ) -> Result<Answered, Fault> {
        self.handle(&envelope(saga, step, Leg::Compensation, command)?).await
    }

    /// Tells an event. Whether it was new.
    pub async fn tell<E: Event>(&self, saga: SagaId, event: &E) -> Result<bool, Fault> {
        let event = EventEnvelope::of(saga, event)?;
        let nobody = || Fault::permanent(format!("nobody listens to {}", event.kind));
        let items = vec![self.desk.heard(&event).ok_or_else(nobody)?];
        let heard = self.hear(items).await?.pop();
        Ok(heard.transpose()? == Some(listen::Heard::New))
    }

    /// Tells events as one batch; of each, in order, whether it was new.
    pub async fn tell_all(
        &self,
        events: &[EventEnvelope],
    ) -> Result<Vec<Result<bool, Fault>>, Fault> {
        let items = events.iter().filter_map(|event| self.desk.heard(event)).collect();
        let heard = self.hear(items).await?;
        Ok(heard.into_iter().map(|one| Ok(one? == listen::Heard::New)).collect())
    }

    async fn hear(
        &self,
        items: Vec<listen::Item<'_>>,
    ) -> Result<Vec<Result<listen::Heard, Fault>>, Fault> {
        let handle = |items| listen::handle(&self.database.lanes, items);
        desk::each(&self.database, items, handle).await.map_err(Fault::transient)
    }
}

/// A command's first attempt, with a minute to go.
pub fn envelope<C: Command>(
    saga: SagaId,
    step: &str,
    leg: Leg,
    command: &C,
) -> Result<CommandEnvelope, serde_json::Error> {
    Ok(CommandEnvelope {
        saga,
        definition: "test".to_owned(),
        step: step.to_owned(),
        leg,
        attempt: 1,
        kind: C::TYPE.to_owned(),
        deadline: OffsetDateTime::now_utc() + Duration::minutes(1),
        traceparent: None,
        body: serde_json::to_vec(command)?,
    })
}
