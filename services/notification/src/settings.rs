//! Which adapter serves which channel, from the environment.

use crate::{
    channel::{Adapter, Error, Webhook},
    mail::Mail,
    notification::Channels,
};
use runtime::{
    config::{self, Redacted},
    resilience::{Breaker, BreakerPolicy},
};
use std::{num::NonZero, path::PathBuf, time::Duration};

/// E-mail goes by SMTP when `SMTP_URL` is set, text messages and pushes go to the webhook when
/// `WEBHOOK_URL` is set; whatever is left goes to `NOTIFICATION_FILE`, or else to the log.
#[derive(Clone, Debug)]
pub struct Settings {
    pub smtp_url: Option<Redacted>,
    /// `Orders <orders@example.test>`
    pub smtp_from: String,
    pub webhook_url: Option<Redacted>,
    pub file: Option<PathBuf>,
    /// For each message.
    pub time_limit: Duration,
}

impl Settings {
    pub fn from_env() -> Result<Self, config::Error> {
        let limit = config::env("NOTIFICATION_TIMEOUT_MS", NonZero::new(3000_u64))?;
        Ok(Settings {
            smtp_url: optional("SMTP_URL")?,
            smtp_from: config::env("SMTP_FROM", Some("orders@example.test".to_owned()))?,
            webhook_url: optional("WEBHOOK_URL")?,
            file: std::env::var_os("NOTIFICATION_FILE").filter(|f| !f.is_empty()).map(Into::into),
            time_limit: Duration::from_millis(limit.get()),
        })
    }

    pub(crate) fn channels(&self) -> Result<Channels, Error> {
        let local = match &self.file {
            Some(path) => Adapter::File(path.clone()),
            None => Adapter::Log,
        };
        let email = match &self.smtp_url {
            Some(url) => {
                let mail = Mail::new(url.expose(), &self.smtp_from, self.time_limit)?;
                Adapter::Mail(Box::new(mail))
            }
            None => local.clone(),
        };
        let short = match &self.webhook_url {
            Some(url) => Adapter::Webhook(Webhook::new(url.expose(), self.time_limit)?),
            None => local,
        };
        Ok(Channels { email, sms: short.clone(), push: short })
    }

    /// One breaker for the service, named by what is behind it: a command is told by all its
    /// channels or held back as a whole.
    pub(crate) fn breaker(&self) -> Breaker {
        let name = match (&self.smtp_url, &self.webhook_url) {
            (Some(_), Some(_)) => "smtp-webhook",
            (Some(_), None) => "smtp",
            (None, Some(_)) => "webhook",
            (None, None) => "file",
        };
        Breaker::new(name, BreakerPolicy::default())
    }
}

fn optional(name: &str) -> Result<Option<Redacted>, config::Error> {
    match std::env::var_os(name).is_some_and(|value| !value.is_empty()) {
        true => config::env(name, None).map(Some),
        false => Ok(None),
    }
}
