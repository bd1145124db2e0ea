//! How messages leave: the port, and its adapters.

use crate::{mail::Mail, message::Message};
use runtime::outside::{self, Outside};
use serde::Serialize;
use std::{path::PathBuf, time::Duration};
use tokio::io::AsyncWriteExt;

/// Why a message did not leave.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the mail server does not take the message: {}", without_recipient(.0))]
    Smtp(lettre::transport::smtp::Error),
    #[error("the recipient or sender is not an e-mail address")]
    Address(#[from] lettre::address::AddressError),
    #[error("the e-mail cannot be composed")]
    Compose(#[from] lettre::error::Error),
    #[error("the mail server gives no answer in time")]
    SmtpTimedOut,
    #[error(transparent)]
    Webhook(#[from] outside::Error),
    #[error("the webhook gives no answer in time")]
    WebhookTimedOut,
    #[error("the notification file cannot be written")]
    File(#[from] std::io::Error),
}

impl From<lettre::transport::smtp::Error> for Error {
    fn from(error: lettre::transport::smtp::Error) -> Self {
        Error::Smtp(error)
    }
}

/// What the server says of a message, it may say of its recipient: the code must do.
fn without_recipient(error: &lettre::transport::smtp::Error) -> String {
    error.status().map_or_else(|| error.to_string(), |code| format!("it answers {code}"))
}

impl Error {
    /// Whether the same message may fare better later.
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Smtp(error) => !error.is_permanent(),
            Error::Webhook(error) => error.is_transient(),
            Error::SmtpTimedOut | Error::WebhookTimedOut | Error::File(_) => true,
            Error::Address(_) | Error::Compose(_) => false,
        }
    }
}

/// A way out. Each passes on the key, under which a receiver can drop a message that comes twice.
#[derive(Clone, Debug)]
pub enum Adapter {
    /// A log line is all there is: for development.
    Log,
    /// A JSON line at the end of a file: for development and audits.
    File(PathBuf),
    Mail(Box<Mail>),
    Webhook(Webhook),
}

impl Adapter {
    /// Bounded by the adapter's own time limit.
    pub async fn send(&self, message: &Message, key: &str) -> Result<(), Error> {
        match self {
            Adapter::Log => {
                let Message { channel, subject, .. } = message;
                // Not whom: a log is read by more people than may know a customer's address.
                tracing::info!(key, channel = channel.as_str(), subject, "told the customer");
                Ok(())
            }
            Adapter::File(path) => append(path, message, key).await,
            Adapter::Mail(mail) => mail.send(message, key).await,
            Adapter::Webhook(webhook) => webhook.send(message, key).await,
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    key: &'a str,
    #[serde(flatten)]
    message: &'a Message,
}

async fn append(path: &PathBuf, message: &Message, key: &str) -> Result<(), Error> {
    let mut line = serde_json::to_vec(&Line { key, message }).map_err(std::io::Error::other)?;
    line.push(b'\n');
    let mut file = tokio::fs::OpenOptions::new().create(true).append(true).open(path).await?;
    // One write in append mode, so that lines of several processes do not mix.
    file.write_all(&line).await?;
    Ok(file.flush().await?)
}

/// Posts JSON: `{"channel", "recipient", "subject", "body"}` with an `Idempotency-Key`.
#[derive(Clone, Debug)]
pub struct Webhook {
    receiver: Outside,
    limit: Duration,
}

impl Webhook {
    pub fn new(url: &str, limit: Duration) -> Result<Self, Error> {
        Ok(Webhook { receiver: Outside::new("webhook", url)?, limit })
    }

    async fn send(&self, message: &Message, key: &str) -> Result<(), Error> {
        let told = tokio::time::timeout(self.limit, self.receiver.tell("", key, message)).await;
        Ok(told.map_err(|_| Error::WebhookTimedOut)??)
    }
}
