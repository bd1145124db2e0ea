//! An orderly stop. Whoever takes work in watches [`Shutdown`] and takes no more once it has
//! begun; what was taken is finished or handed back.

use std::sync::Arc;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// One switch shared by all parts of a process; once begun it stays begun.
#[derive(Clone, Debug)]
pub struct Shutdown {
    begun: Arc<watch::Sender<bool>>,
}

impl Shutdown {
    /// A switch that only [`begin`](Self::begin) turns.
    pub fn manual() -> Self {
        Self { begun: Arc::new(watch::Sender::new(false)) }
    }

    /// Begins at SIGTERM or SIGINT. A second signal ends the process at once (status 130): every
    /// part of the system survives a kill, so whoever is in a hurry loses nothing.
    ///
    /// Must be called within a tokio runtime.
    pub fn on_signals() -> Self {
        let shutdown = Self::manual();
        match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
            (Ok(mut terminate), Ok(mut interrupt)) => {
                let seen = shutdown.clone();
                tokio::spawn(async move {
                    loop {
                        tokio::select! {
                            _ = terminate.recv() => {}
                            _ = interrupt.recv() => {}
                        }
                        if seen.is_begun() {
                            tracing::warn!("second signal: stopping at once");
                            std::process::exit(130);
                        }
                        tracing::info!("signal received: stopping in order");
                        seen.begin();
                    }
                });
            }
            // Without handlers a signal ends the process at once, which loses nothing either.
            (Err(error), _) | (_, Err(error)) => {
                tracing::error!(%error, "no signal handlers: a signal will stop at once");
            }
        }
        shutdown
    }

    pub fn begin(&self) {
        self.begun.send_replace(true);
    }

    pub fn is_begun(&self) -> bool {
        *self.begun.borrow()
    }

    /// Returns once the stop has begun, at once if it already has. Safe in `select!`.
    pub async fn begun(&self) {
        // The sender lives as long as `self`, so the wait cannot end for another reason.
        let _ = self.begun.subscribe().wait_for(|begun| *begun).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_clone_sees_the_beginning_and_late_watchers_do_not_wait() {
        let shutdown = Shutdown::manual();
        let waiting = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.begun().await }
        });
        assert!(!shutdown.is_begun());
        shutdown.clone().begin();
        waiting.await.unwrap();
        shutdown.begun().await;
        assert!(shutdown.is_begun());
    }
}
