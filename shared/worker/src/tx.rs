use crate::Fault;
use contracts::{Event, EventEnvelope, SagaId};
use sqlx::PgConnection;

/// The open transaction. What is written through it commits together with the inbox row, the
/// reply and the events, or not at all.
#[derive(Debug)]
pub struct Tx<'c> {
    connection: &'c mut PgConnection,
    saga: SagaId,
    traceparent: Option<String>,
    events: Vec<EventEnvelope>,
}

impl<'c> Tx<'c> {
    pub(crate) fn new(
        connection: &'c mut PgConnection,
        saga: SagaId,
        traceparent: Option<String>,
    ) -> Self {
        Tx { connection, saga, traceparent, events: Vec::new() }
    }

    /// Where statements are executed: `.execute(tx.sql())`.
    pub fn sql(&mut self) -> &mut PgConnection {
        self.connection
    }

    /// The saga that the command or event at hand belongs to.
    pub fn saga(&self) -> SagaId {
        self.saga
    }

    /// Tells an event once this commits; told again whenever the command comes again. At most
    /// one event of a type per saga.
    pub fn publish<E: Event>(&mut self, saga: SagaId, event: &E) -> Result<(), Fault> {
        let mut envelope = EventEnvelope::of(saga, event)?;
        envelope.traceparent.clone_from(&self.traceparent);
        self.events.push(envelope);
        Ok(())
    }

    pub(crate) fn into_events(self) -> Vec<EventEnvelope> {
        self.events
    }
}

/// The open transaction of many commands at one go; otherwise as [`Tx`].
#[derive(Debug)]
pub struct ManyTx<'c> {
    connection: &'c mut PgConnection,
    events: Vec<EventEnvelope>,
}

impl<'c> ManyTx<'c> {
    pub(crate) fn new(connection: &'c mut PgConnection) -> Self {
        ManyTx { connection, events: Vec::new() }
    }

    /// As [`Tx::sql`].
    pub fn sql(&mut self) -> &mut PgConnection {
        self.connection
    }

    /// As [`Tx::publish`]; `saga` is one of those at hand.
    pub fn publish<E: Event>(&mut self, saga: SagaId, event: &E) -> Result<(), Fault> {
        self.events.push(EventEnvelope::of(saga, event)?);
        Ok(())
    }

    pub(crate) fn into_events(self) -> Vec<EventEnvelope> {
        self.events
    }
}
