//! A journal of a test's own, and occurrences for it.

use anyhow::Result;
use contracts::{CommandEnvelope, Outcome, ReplyEnvelope, SagaId, StartEnvelope};
use orchestrator::{
    MIGRATOR,
    engine::{Advanced, Engine, Occurrence, Verdict},
    operator::{Ask, Wanted},
    replay,
};
use saga_core::Patience;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use testkit::ScratchDb;
use uuid::Uuid;

pub struct Journal {
    pub engine: Engine,
    pub database: ScratchDb,
}

pub async fn journal() -> Result<Journal> {
    patient(None).await
}

/// A journal whose sagas wait `timeout` for each answer, twice.
pub async fn patient(timeout: Option<Duration>) -> Result<Journal> {
    let database = ScratchDb::of("orchestrator", &MIGRATOR).await?;
    let engine = engine(&database, timeout, timeout.map(|_| 2));
    Ok(Journal { engine, database })
}

pub fn engine(database: &ScratchDb, timeout: Option<Duration>, attempts: Option<u8>) -> Engine {
    let catalogue = Arc::new(sagas::catalogue(Patience { timeout, attempts, deadline: None }));
    Engine::over(database.pool().clone(), catalogue)
}

pub fn start(saga: SagaId) -> Occurrence {
    let input = json!({
        "customer_id": "cust_1",
        "lines": [{ "product_id": "prod_001", "quantity": 1 }],
        "total": { "amount": 1290, "currency": "EUR" },
        "payment_method": "card_ok",
        "ship_to": { "country": "DE" },
    });
    Occurrence::Start(StartEnvelope {
        saga,
        definition: "place-order".into(),
        traceparent: None,
        body: input.to_string().into_bytes(),
    })
}

pub fn reply(command: &CommandEnvelope, outcome: Outcome, body: Value) -> Occurrence {
    Occurrence::Reply(ReplyEnvelope::to(command, outcome, body.to_string().into_bytes()))
}

/// The body that each participant answers with.
pub fn done(command: &CommandEnvelope) -> Occurrence {
    let body = match command.kind.as_str() {
        "payment.authorise" => json!({ "authorisation": "auth_1" }),
        "shipping.book" => json!({ "tracking": "track_1" }),
        _ => Value::Null,
    };
    reply(command, Outcome::Done, body)
}

pub fn ask(saga: SagaId, wanted: Wanted) -> Occurrence {
    Occurrence::Ask(Ask::new(saga, wanted, "a test wants it"))
}

pub fn fresh() -> SagaId {
    SagaId(Uuid::now_v7())
}

impl Journal {
    pub async fn begin(&self, saga: SagaId) -> Result<CommandEnvelope> {
        self.one(start(saga)).await
    }

    /// The one command that follows from an occurrence that moves a saga.
    pub async fn one(&self, occurrence: Occurrence) -> Result<CommandEnvelope> {
        let Advanced { verdicts, mut commands, .. } = self.engine.advance(&[occurrence]).await?;
        assert!(matches!(verdicts[..], [Verdict::Started | Verdict::Moved]), "{verdicts:?}");
        assert_eq!(commands.len(), 1);
        Ok(commands.remove(0))
    }

    pub async fn row(&self, saga: SagaId) -> Result<orchestrator::stored::Row> {
        Ok(replay::row(&self.engine.pool, saga.0).await?.expect("the saga is stored"))
    }
}
