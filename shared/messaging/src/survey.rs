//! How full queues are, by asking for each of them.

use crate::{
    Amqp, Error,
    connection::{ASK_LIMIT, channel, close, open, within},
    headers::short,
};
use lapin::{Connection, options::QueueDeclareOptions, types::FieldTable};

const NOT_FOUND: u16 = 404;

/// What stands in a queue and who reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depth {
    /// Messages that nobody has taken yet.
    pub ready: u32,
    pub consumers: u32,
}

/// One answer for each of `queues`; `None` where there is no such queue. Over a connection of its
/// own, which is closed again.
pub async fn survey(amqp: &Amqp, queues: &[String]) -> Result<Vec<Option<Depth>>, Error> {
    let connection = open(amqp, 0, "survey").await?;
    let depths = depths(&connection, queues).await;
    close(&connection).await;
    depths
}

async fn depths(connection: &Connection, queues: &[String]) -> Result<Vec<Option<Depth>>, Error> {
    let passive = QueueDeclareOptions { passive: true, durable: true, ..Default::default() };
    let mut asking = channel(connection).await?;
    let mut depths = Vec::with_capacity(queues.len());
    for queue in queues {
        let asked = asking.queue_declare(short(queue), passive, FieldTable::default());
        match within(format!("asking for queue {queue}"), ASK_LIMIT, asked).await {
            Ok(found) => depths.push(Some(Depth {
                ready: found.message_count(),
                consumers: found.consumer_count(),
            })),
            Err(error) if error.code() == Some(NOT_FOUND) => {
                // The refusal has cost the channel.
                asking = channel(connection).await?;
                depths.push(None);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(depths)
}
