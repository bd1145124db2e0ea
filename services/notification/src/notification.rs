//! The participant: prepares the messages, sends them outside any transaction, and records that
//! they were sent. Sending is at least once, and each message carries its key.

use crate::{
    channel::{Adapter, Error},
    message::{Channel, Customer, Message, messages},
    settings::Settings,
};
use contracts::{Never, notification::NotifyCustomer};
use runtime::resilience::Breaker;
use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use worker::{CallKey, Fault, NotDone, Outcome, Outside, Tx};

/// Enough for every command in flight; more means that records fail to come.
const MAX_SENT: usize = 10_000;

/// One way out per channel.
#[derive(Debug)]
pub(crate) struct Channels {
    pub(crate) email: Adapter,
    pub(crate) sms: Adapter,
    pub(crate) push: Adapter,
}

pub struct Notification {
    channels: Channels,
    breaker: Breaker,
    time_limit: Duration,
    /// Keys of messages that have left, while another message of the same command has not: so
    /// that a broken text message service does not repeat the e-mail. Gone with the process.
    sent: Mutex<HashSet<String>>,
}

impl Notification {
    pub fn new(settings: Settings) -> Result<Self, Error> {
        Ok(Notification {
            channels: settings.channels()?,
            breaker: settings.breaker(),
            // A command has at most three messages, and each is bounded by its adapter.
            time_limit: settings.time_limit * 3 + Duration::from_secs(1),
            sent: Mutex::default(),
        })
    }

    fn sent(&self) -> MutexGuard<'_, HashSet<String>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(&self, message: &Message, key: &str) -> Result<(), Error> {
        let adapter = match message.channel {
            Channel::Email => &self.channels.email,
            Channel::Sms => &self.channels.sms,
            Channel::Push => &self.channels.push,
        };
        adapter.send(message, key).await
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        if error.is_transient() { Fault::transient(error) } else { Fault::permanent(error) }
    }
}

impl Outside<NotifyCustomer> for Notification {
    type Intent = Vec<Message>;
    type Answer = ();

    async fn prepare(
        &self,
        tx: &mut Tx<'_>,
        command: &NotifyCustomer,
    ) -> Result<Vec<Message>, NotDone<Never>> {
        let customer: Option<Customer> =
            sqlx::query_as("SELECT email, phone, device FROM customer WHERE customer_id = $1")
                .bind(&command.customer_id)
                .fetch_optional(tx.sql())
                .await?;
        let customer = customer.unwrap_or_else(|| Customer::stranger(&command.customer_id));
        let messages = messages(customer, command);
        for message in &messages {
            sqlx::query(
                "INSERT INTO notification (order_id, channel, recipient, subject, body)
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT (order_id, channel) DO NOTHING",
            )
            .bind(command.order.0)
            .bind(message.channel.as_str())
            .bind(&message.recipient)
            .bind(&message.subject)
            .bind(&message.body)
            .execute(tx.sql())
            .await?;
        }
        Ok(messages)
    }

    async fn call(&self, intent: &Vec<Message>, key: &CallKey) -> Result<(), Fault> {
        let keys: Vec<_> = intent
            .iter()
            .map(|message| format!("{}/{}", key.own, message.channel.as_str()))
            .collect();
        for (message, key) in intent.iter().zip(&keys) {
            if self.sent().contains(key) {
                continue;
            }
            self.send(message, key).await?;
            let mut sent = self.sent();
            if sent.len() >= MAX_SENT {
                sent.clear();
            }
            sent.insert(key.clone());
        }
        let mut sent = self.sent();
        keys.iter().for_each(|key| {
            sent.remove(key);
        });
        Ok(())
    }

    async fn record(
        &self,
        tx: &mut Tx<'_>,
        command: NotifyCustomer,
        _: Vec<Message>,
        (): (),
    ) -> Outcome<NotifyCustomer> {
        sqlx::query(
            "UPDATE notification SET status = 'sent', sent_at = now()
             WHERE order_id = $1 AND status = 'sending'",
        )
        .bind(command.order.0)
        .execute(tx.sql())
        .await?;
        Ok(())
    }

    fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    fn time_limit(&self) -> Duration {
        self.time_limit
    }
}
