//! Making sure that exchanges and queues are there, before and whenever they are used.

use crate::{
    Amqp, Error, Topology,
    connection::{ASK_LIMIT, channel, close, open, within},
    headers::short,
    names::packs_of,
    topology::{EXCHANGES, Queue},
};
use lapin::{
    Channel, Connection, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::FieldTable,
};
use runtime::{resilience::Backoff, shutdown::Shutdown};
use std::time::Duration;

const NOT_FOUND: u16 = 404;
const REFUSED: u16 = 403;
const OTHERWISE: u16 = 406;

/// Waits for the broker, as long as it takes, and declares `topology`. Fails only when no waiting
/// will help ([`Error::is_permanent`]), or when shutdown begins.
pub async fn prepare(amqp: &Amqp, topology: &Topology, shutdown: &Shutdown) -> Result<(), Error> {
    let mut delays = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
    for turn in 0.. {
        match prepare_once(amqp, topology, turn).await {
            Ok(()) => return Ok(()),
            Err(error) if error.is_permanent() => return Err(error),
            Err(error) => tracing::warn!(%error, "broker not ready yet"),
        }
        tokio::select! {
            () = delays.wait() => {}
            () = shutdown.begun() => break,
        }
    }
    Err(Error::Stopped)
}

async fn prepare_once(amqp: &Amqp, topology: &Topology, turn: usize) -> Result<(), Error> {
    let connection = open(amqp, turn, "setup").await?;
    let declared = declare(&connection, topology, amqp.packs()).await;
    close(&connection).await;
    declared
}

/// `packs`: whether this process reads packs, and shall be sent some.
pub(crate) async fn declare(
    connection: &Connection,
    topology: &Topology,
    packs: bool,
) -> Result<(), Error> {
    let mut declaring = Declaring { connection, channel: channel(connection).await?, packs };
    for (name, kind) in EXCHANGES {
        declaring.exchange(name, kind).await?;
    }
    for queue in &topology.queues {
        declaring.queue(queue).await?;
    }
    // Goodbye is a courtesy: the channel dies with its connection anyhow.
    let _ = within("closing", ASK_LIMIT, declaring.channel.close(200, "declared".into())).await;
    Ok(())
}

/// Every refusal costs the channel, so that the next question needs another.
struct Declaring<'a> {
    connection: &'a Connection,
    channel: Channel,
    packs: bool,
}

impl Declaring<'_> {
    /// A login that may not declare can still use what somebody with more rights has declared.
    async fn exchange(&mut self, name: &str, kind: ExchangeKind) -> Result<(), Error> {
        let options =
            |passive| ExchangeDeclareOptions { passive, durable: true, ..Default::default() };
        match self.declare_exchange(name, &kind, options(false)).await {
            Err(error) if error.code() == Some(OTHERWISE) => Err(Error::ExchangeMismatch {
                exchange: name.to_owned(),
                difference: error.words(),
            }),
            Err(error) if error.code() == Some(REFUSED) => {
                match self.declare_exchange(name, &kind, options(true)).await {
                    Err(error) if error.code() == Some(NOT_FOUND) => {
                        Err(Error::Forbidden(format!("exchange {name}")))
                    }
                    found => found,
                }
            }
            declared => declared,
        }
    }

    async fn declare_exchange(
        &mut self,
        name: &str,
        kind: &ExchangeKind,
        options: ExchangeDeclareOptions,
    ) -> Result<(), Error> {
        let arguments = FieldTable::default();
        let declared = self.channel.exchange_declare(short(name), kind.clone(), options, arguments);
        let declared = within(format!("declaring exchange {name}"), ASK_LIMIT, declared).await;
        self.renewed(declared).await
    }

    async fn queue(&mut self, queue: &Queue) -> Result<(), Error> {
        match self.declare_queue(queue, QueueDeclareOptions::durable()).await {
            Ok(()) => {}
            Err(error) if error.code() == Some(OTHERWISE) => {
                let (queue, difference) = (queue.name.clone(), error.words());
                return Err(Error::Mismatch { queue, difference });
            }
            Err(error) if error.code() == Some(REFUSED) => {
                // Somebody with more rights declares and binds; it only has to be there.
                let passive =
                    QueueDeclareOptions { passive: true, durable: true, ..Default::default() };
                return match self.declare_queue(queue, passive).await {
                    Err(error) if error.code() == Some(NOT_FOUND) => {
                        Err(Error::Forbidden(format!("queue {}", queue.name)))
                    }
                    found => found,
                };
            }
            Err(error) => return Err(error),
        }
        for key in &queue.keys {
            let bound = self.channel.queue_bind(
                short(&queue.name),
                short(queue.exchange),
                short(key),
                QueueBindOptions::default(),
                FieldTable::default(),
            );
            within(format!("binding queue {} to {key}", queue.name), ASK_LIMIT, bound).await?;
        }
        match packs_of(queue.exchange, &queue.name) {
            Some(key) => self.packs(queue, &key).await,
            None => Ok(()),
        }
    }

    /// Binds the queue for packs, or takes back what an earlier process has bound.
    async fn packs(&mut self, queue: &Queue, key: &str) -> Result<(), Error> {
        let (name, exchange, table) =
            (short(&queue.name), short(queue.exchange), FieldTable::default());
        let what = format!("binding queue {name} to {key}");
        if self.packs {
            let options = QueueBindOptions::default();
            let bound = self.channel.queue_bind(name, exchange, short(key), options, table);
            within(what, ASK_LIMIT, bound).await
        } else {
            let unbound = self.channel.queue_unbind(name, exchange, short(key), table);
            within(what, ASK_LIMIT, unbound).await
        }
    }

    async fn declare_queue(
        &mut self,
        queue: &Queue,
        options: QueueDeclareOptions,
    ) -> Result<(), Error> {
        let declared = self.channel.queue_declare(short(&queue.name), options, queue.arguments());
        let declared = within(format!("declaring queue {}", queue.name), ASK_LIMIT, declared).await;
        self.renewed(declared.map(|_| ())).await
    }

    /// The same answer, with a channel to go on with.
    async fn renewed(&mut self, answer: Result<(), Error>) -> Result<(), Error> {
        if let Err(error) = &answer
            && error.code().is_some()
            && self.connection.status().connected()
        {
            self.channel = channel(self.connection).await?;
        }
        answer
    }
}
