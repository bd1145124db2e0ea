//! E-mail over SMTP.

use crate::{channel::Error, message::Message};
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Tokio1Executor,
    message::{Mailbox, header::ContentType},
};
use std::{fmt, time::Duration};

#[derive(Clone)]
pub struct Mail {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    limit: Duration,
}

impl Mail {
    /// `url`: `smtp://host:25`, `smtps://user:password@host`, or `smtp://…?tls=required`.
    /// `from`: `Orders <orders@example.test>`. `limit` bounds each message as a whole.
    pub fn new(url: &str, from: &str, limit: Duration) -> Result<Self, Error> {
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)?;
        Ok(Mail { transport: transport.timeout(Some(limit)).build(), from: from.parse()?, limit })
    }

    pub(crate) async fn send(&self, message: &Message, key: &str) -> Result<(), Error> {
        let mail = lettre::Message::builder()
            // The same for a message that is sent again, so that a mailbox can drop the double.
            .message_id(Some(format!("<{key}@{}>", self.from.email.domain())))
            .from(self.from.clone())
            .to(Mailbox::new(None, message.recipient.parse()?))
            .subject(&message.subject)
            .header(ContentType::TEXT_PLAIN)
            .body(message.body.clone())?;
        tokio::time::timeout(self.limit, self.transport.send(mail))
            .await
            .map_err(|_| Error::SmtpTimedOut)??;
        Ok(())
    }
}

impl fmt::Debug for Mail {
    /// Without the transport, which knows a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mail").field("from", &self.from).finish_non_exhaustive()
    }
}
