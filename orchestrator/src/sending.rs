//! Commands on their way out. A command that cannot be routed is not waited for: its saga's
//! wake-up sends it again, and one missing participant must not hold up the sagas of the others.

use messaging::{Outgoing, Publisher, Stopped};
use runtime::{resilience::Backoff, shutdown::Shutdown};
use std::time::Duration;

#[derive(Clone)]
pub struct Sender {
    pub publisher: Publisher,
    pub shutdown: Shutdown,
}

impl Sender {
    /// Until everything is confirmed, however long the broker is away; `Err` when a stop begins
    /// before.
    pub async fn send(&self, messages: Vec<Outgoing>) -> Result<(), Stopped> {
        if messages.is_empty() {
            return Ok(());
        }
        let mut delays = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));
        loop {
            match self.publisher.send(&messages).await {
                Ok(unroutable) => {
                    for message in unroutable {
                        tracing::error!(key = message.key, "no queue for commands: nobody listens");
                        metrics::counter!("commands_unroutable_total", "key" => message.key)
                            .increment(1);
                    }
                    return Ok(());
                }
                Err(error) => tracing::warn!(%error, "commands not sent: trying again"),
            }
            tokio::select! {
                () = delays.wait() => {}
                () = self.shutdown.begun() => return Err(Stopped),
            }
        }
    }

    /// Like [`Self::send`], for what nobody sends again: waits for a queue, too.
    pub async fn send_for_certain(&self, messages: &[Outgoing]) -> Result<(), Stopped> {
        if messages.is_empty() {
            return Ok(());
        }
        self.publisher.send_until_confirmed(messages, &self.shutdown).await
    }
}
