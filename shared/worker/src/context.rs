use runtime::{health::Health, shutdown::Shutdown};
use sqlx::PgPool;
use std::sync::Arc;
use store::relay::Relay;

/// What the HTTP routes of a service work with.
pub struct Context<S> {
    pub pool: PgPool,
    pub service: Arc<S>,
    /// To be nudged after a commit that put something into the outbox.
    pub relay: Relay,
    pub health: Health,
    pub shutdown: Shutdown,
}

impl<S> Clone for Context<S> {
    fn clone(&self) -> Self {
        Context {
            pool: self.pool.clone(),
            service: Arc::clone(&self.service),
            relay: self.relay.clone(),
            health: self.health.clone(),
            shutdown: self.shutdown.clone(),
        }
    }
}
