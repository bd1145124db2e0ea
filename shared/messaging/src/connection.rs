//! One connection or channel, opened and closed within a time limit.

use crate::{Amqp, Error};
use lapin::{Channel, Connection, ConnectionProperties, options::ConfirmSelectOptions};
use std::{fs, future::Future, sync::LazyLock, time::Duration};

/// For TCP, TLS, login and opening the virtual host together.
const CONNECT_LIMIT: Duration = Duration::from_secs(6);
/// For one question to the broker on a connection that stands.
pub(crate) const ASK_LIMIT: Duration = Duration::from_secs(5);
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// Awaits `answer`, but not for ever.
pub(crate) async fn within<T>(
    what: impl Into<String>,
    limit: Duration,
    answer: impl Future<Output = lapin::Result<T>>,
) -> Result<T, Error> {
    match tokio::time::timeout(limit, answer).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(source)) => Err(Error::Broker { what: what.into(), source }),
        Err(_) => Err(Error::TimedOut { what: what.into(), limit }),
    }
}

/// As the management UI shows it beside the service; the empty text where it cannot be told.
static HOST: LazyLock<String> = LazyLock::new(|| {
    fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
});

/// Which process of the service this is: `payment@host:4711`.
pub(crate) fn instance(amqp: &Amqp) -> String {
    format!("{}@{}:{}", amqp.app, *HOST, std::process::id())
}

/// What the management UI tells of a connection besides its name: whoever looks there at night
/// wants to know which process to look for.
fn properties(amqp: &Amqp, purpose: &str) -> ConnectionProperties {
    let told = [
        // Only both together take the place of the client library's own.
        ("product", "saga".to_owned()),
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("service", amqp.app.clone()),
        ("purpose", purpose.to_owned()),
        ("host", HOST.clone()),
        ("pid", std::process::id().to_string()),
    ];
    let named = ConnectionProperties::default()
        .with_connection_name(format!("{} {purpose}", amqp.app).into());
    told.into_iter().fold(named, |properties, (name, value)| {
        properties.with_client_property(name.into(), value.into())
    })
}

/// `purpose` is what the management UI shows behind the name of the process.
pub(crate) async fn open(amqp: &Amqp, turn: usize, purpose: &str) -> Result<Connection, Error> {
    let Some(node) = amqp.node(turn) else {
        return Err(Error::Lost("the broker's URL names no host".to_owned()));
    };
    let properties = properties(amqp, purpose);
    let host = format!("connecting to {}:{}", node.authority.host, node.authority.port);
    within(host, CONNECT_LIMIT, Connection::connect_uri(node.clone(), properties)).await
}

pub(crate) async fn channel(connection: &Connection) -> Result<Channel, Error> {
    within("opening a channel", ASK_LIMIT, connection.create_channel()).await
}

/// A channel on which the broker confirms what is published.
pub(crate) async fn confirming(connection: &Connection) -> Result<Channel, Error> {
    let channel = channel(connection).await?;
    let select = channel.confirm_select(ConfirmSelectOptions::default());
    within("asking for confirms", ASK_LIMIT, select).await?;
    Ok(channel)
}

/// Says goodbye, when there is anyone left to say it to.
pub(crate) async fn close(connection: &Connection) {
    if connection.status().connected() {
        let goodbye = connection.close(200, "goodbye".into());
        if let Err(error) = within("closing", CLOSE_LIMIT, goodbye).await {
            tracing::debug!(%error, "broker connection not closed in order");
        }
    }
}
