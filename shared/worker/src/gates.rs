//! The breakers of everything a service depends on. While one of them is open, the service takes
//! no more work: what waits in its queue costs nothing and is seen there.

use futures_util::future::{join_all, select_all};
use runtime::resilience::{Breaker, BreakerState};

pub(crate) struct Gates(Vec<Breaker>);

impl Gates {
    /// At least one breaker.
    pub(crate) fn new(first: Breaker, others: Vec<Breaker>) -> Self {
        Gates(std::iter::once(first).chain(others).collect())
    }

    /// Waits until one is open, and says which.
    pub(crate) async fn shut(&self) -> &'static str {
        let waits = self.0.iter().map(|breaker| {
            Box::pin(async move {
                let mut state = breaker.state();
                // The sender lives in the breaker that is borrowed here.
                let _ = state.wait_for(|state| *state == BreakerState::Open).await;
                breaker.name()
            })
        });
        select_all(waits).await.0
    }

    /// Waits until every one of them is closed: somebody's probe went well.
    pub(crate) async fn closed(&self) {
        for breaker in &self.0 {
            let mut state = breaker.state();
            let _ = state.wait_for(|state| *state == BreakerState::Closed).await;
        }
    }

    /// Waits until every one of them lets a call through.
    pub(crate) async fn admitted(&self) {
        join_all(self.0.iter().map(Breaker::admitted)).await;
    }
}
