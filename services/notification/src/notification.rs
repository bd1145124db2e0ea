//! The participant: prepares the messages, sends them outside any transaction, and records that
//! they were sent. Sending is at least once, and each message carries its key.

use crate::{
    book,
    channel::{Adapter, Error},
    message::{Channel, Customer, Message, messages},
    settings::Settings,
};
use contracts::{Never, SagaId, notification::NotifyCustomer};
use runtime::resilience::Breaker;
use sqlx::PgConnection;
use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use worker::{CallKey, Called, Fault, ManyTx, NotDone, Outcome, Outside, Replied, Tx};

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
        let mut prepared = prepare(tx.sql(), &[command]).await?;
        Ok(prepared.pop().unwrap_or_default())
    }

    async fn prepare_many(
        &self,
        tx: &mut ManyTx<'_>,
        commands: &[(SagaId, NotifyCustomer)],
    ) -> Result<Option<Vec<Vec<Message>>>, Fault> {
        let commands: Vec<_> = commands.iter().map(|(_, command)| command).collect();
        Ok(Some(prepare(tx.sql(), &commands).await?))
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
        Ok(book::sent(tx.sql(), &[command.order]).await?)
    }

    async fn record_many(
        &self,
        tx: &mut ManyTx<'_>,
        called: &[Called<NotifyCustomer, Vec<Message>, ()>],
    ) -> Result<Option<Vec<Replied<NotifyCustomer>>>, Fault> {
        let orders: Vec<_> = called.iter().map(|it| it.command.order).collect();
        book::sent(tx.sql(), &orders).await?;
        Ok(Some(vec![Ok(()); called.len()]))
    }

    fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    fn time_limit(&self) -> Duration {
        self.time_limit
    }
}

/// The messages of each command, noted before they are sent.
async fn prepare(
    sql: &mut PgConnection,
    commands: &[&NotifyCustomer],
) -> sqlx::Result<Vec<Vec<Message>>> {
    let ids: Vec<_> = commands.iter().map(|command| command.customer_id.as_str()).collect();
    let customers = book::customers(sql, &ids).await?;
    let prepared: Vec<_> = commands
        .iter()
        .map(|command| {
            let known = customers.get(&command.customer_id).cloned();
            let customer = known.unwrap_or_else(|| Customer::stranger(&command.customer_id));
            messages(customer, command)
        })
        .collect();
    let sending: Vec<_> = commands
        .iter()
        .zip(&prepared)
        .flat_map(|(command, messages)| messages.iter().map(|message| (command.order, message)))
        .collect();
    book::sending(sql, &sending).await?;
    Ok(prepared)
}
