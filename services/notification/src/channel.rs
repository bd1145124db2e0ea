//! How messages leave: the port, and its adapters.

use crate::{mail::Mail, message::Message};
use reqwest::StatusCode;
use serde::Serialize;
use std::{path::PathBuf, time::Duration};
use tokio::io::AsyncWriteExt;

/// Why a message did not leave.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the mail server does not take the message")]
    Smtp(#[from] lettre::transport::smtp::Error),
    #[error("the recipient or sender is not an e-mail address")]
    Address(#[from] lettre::address::AddressError),
    #[error("the e-mail cannot be composed")]
    Compose(#[from] lettre::error::Error),
    #[error("the mail server gives no answer in time")]
    SmtpTimedOut,
    #[error("the webhook gives no answer")]
    Unreachable(#[source] reqwest::Error),
    #[error("the webhook is unavailable (status {0})")]
    Unavailable(StatusCode),
    #[error("the webhook does not take the message (status {0})")]
    Rejected(StatusCode),
    #[error("WEBHOOK_URL is not an http or https URL")]
    WebhookUrl,
    #[error(transparent)]
    Client(#[from] runtime::http_client::Error),
    #[error("the notification file cannot be written")]
    File(#[from] std::io::Error),
}

impl Error {
    /// Whether the same message may fare better later.
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Smtp(error) => !error.is_permanent(),
            Error::SmtpTimedOut
            | Error::Unreachable(_)
            | Error::Unavailable(_)
            | Error::File(_) => true,
            Error::Address(_)
            | Error::Compose(_)
            | Error::Rejected(_)
            | Error::WebhookUrl
            | Error::Client(_) => false,
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
                let Message { channel, recipient, subject, .. } = message;
                tracing::info!(key, channel = channel.as_str(), recipient, subject, "told");
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
    client: reqwest::Client,
    url: String,
    limit: Duration,
}

impl Webhook {
    pub fn new(client: reqwest::Client, url: &str, limit: Duration) -> Result<Self, Error> {
        if !(url.starts_with("http://") || url.starts_with("https://")) {
            return Err(Error::WebhookUrl);
        }
        Ok(Webhook { client, url: url.to_owned(), limit })
    }

    async fn send(&self, message: &Message, key: &str) -> Result<(), Error> {
        // The URL may hold credentials, so no error may quote it.
        let response = self
            .client
            .post(&self.url)
            .timeout(self.limit)
            .header("idempotency-key", key)
            .json(message)
            .send()
            .await
            .map_err(|error| Error::Unreachable(error.without_url()))?;
        let status = response.status();
        if status.is_success() {
            Ok(())
        } else if status.is_server_error()
            || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
        {
            Err(Error::Unavailable(status))
        } else {
            Err(Error::Rejected(status))
        }
    }
}
