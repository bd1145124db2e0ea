//! One life of a consumer: from one connection to its end.

use crate::{
    Delivery, Error, Incoming,
    connection::{ASK_LIMIT, channel, close, instance, open, within},
    consumer::{Shared, Wanted},
    declare::declare,
    delivery::Settlement,
    headers::short,
    settlement::{Back, Unsettled, Words},
};
use futures_util::{FutureExt, StreamExt, future::join_all};
use lapin::{
    Channel, Connection,
    options::{
        BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions,
        BasicQosOptions, BasicRejectOptions, QueueDeclareOptions,
    },
    types::FieldTable,
};
use runtime::{sabotage::Safety, shutdown::Shutdown};
use std::time::Duration;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior, interval_at, sleep_until},
};

/// How often to ask whether the broker still knows this channel and its consumer.
const ALIVE_EVERY: Duration = Duration::from_secs(10);
/// How long deliveries that were handed out may take to be settled at the end.
const FINISH_LIMIT: Duration = Duration::from_secs(10);

pub(crate) struct Session<'a> {
    shared: &'a Shared,
    connection: Connection,
    channel: Channel,
    stream: Option<lapin::Consumer>,
    /// How often it has begun to consume.
    turns: u32,
    unsettled: Unsettled,
    settlements: mpsc::UnboundedReceiver<Settlement>,
    settle: mpsc::UnboundedSender<Settlement>,
}

pub(crate) enum Ended {
    /// By the consumer's owner.
    Wanted,
    Lost(String),
}

impl<'a> Session<'a> {
    pub(crate) async fn open(shared: &'a Shared, turn: usize) -> Result<Session<'a>, Error> {
        let purpose = format!("consumer {}", shared.queue);
        let connection = open(&shared.amqp, turn, &purpose).await?;
        declare(&connection, &shared.topology, shared.amqp.packs()).await?;
        let channel = channel(&connection).await?;
        let prefetch = channel.basic_qos(shared.prefetch, BasicQosOptions::default());
        within("setting the prefetch", ASK_LIMIT, prefetch).await?;
        let (settle, settlements) = mpsc::unbounded_channel();
        let unsettled = Unsettled::default();
        Ok(Session {
            shared,
            connection,
            channel,
            stream: None,
            turns: 0,
            unsettled,
            settlements,
            settle,
        })
    }

    pub(crate) async fn run(
        mut self,
        wanted: &mut watch::Receiver<Wanted>,
        shutdown: &Shutdown,
    ) -> Ended {
        self.shared.part.up();
        let ended = match self.work(wanted, shutdown).await {
            Ok(()) => Ended::Wanted,
            Err(error) => Ended::Lost(error.to_string()),
        };
        self.shared.consuming.send_replace(false);
        // The broker hands these out again; nobody shall work on them from here.
        for delivery in self.shared.drain() {
            delivery.receipt.silenced();
        }
        let connection = self.connection;
        match &ended {
            Ended::Wanted => close(&connection).await,
            // Beside the new one: the old one may be deaf and take its time.
            Ended::Lost(_) => drop(tokio::spawn(async move { close(&connection).await })),
        }
        ended
    }

    async fn work(
        &mut self,
        wanted: &mut watch::Receiver<Wanted>,
        shutdown: &Shutdown,
    ) -> Result<(), Error> {
        let mut alive = interval_at(Instant::now() + ALIVE_EVERY, ALIVE_EVERY);
        alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut wish = *wanted.borrow_and_update();
        let mut give_up = None;
        loop {
            if shutdown.is_begun() {
                wish = Wanted::End;
            }
            self.follow(wish).await?;
            if wish == Wanted::End {
                if self.unsettled.is_empty() {
                    return Ok(());
                }
                give_up.get_or_insert_with(|| Instant::now() + FINISH_LIMIT);
            }
            let consuming = self.stream.is_some();
            let stream = self.stream.as_mut();
            tokio::select! {
                delivery = async { stream?.next().await }, if consuming => {
                    self.receive(delivery)?;
                }
                Some(settlement) = self.settlements.recv() => self.settle(settlement).await?,
                changed = wanted.changed(), if wish != Wanted::End => {
                    wish = changed.map_or(Wanted::End, |()| *wanted.borrow_and_update());
                }
                () = shutdown.begun(), if wish != Wanted::End => wish = Wanted::End,
                _ = alive.tick() => self.check().await?,
                () = sleep_until(give_up.unwrap_or_else(Instant::now)), if give_up.is_some() => {
                    tracing::warn!(queue = self.shared.queue, "deliveries left unsettled");
                    return Ok(());
                }
            }
        }
    }

    /// Consumes when messages are wanted and not when not.
    async fn follow(&mut self, wish: Wanted) -> Result<(), Error> {
        match (wish, &self.stream) {
            (Wanted::Messages, None) => self.consume().await,
            (Wanted::Pause | Wanted::End, Some(_)) => self.cease().await,
            _ => Ok(()),
        }
    }

    async fn consume(&mut self) -> Result<(), Error> {
        // A tag of its own each time: lapin clears a cancelled tag away with a delay, and with it
        // whoever consumes under that tag by then.
        self.turns += 1;
        let tag = format!("{} {}", instance(&self.shared.amqp), self.turns);
        let consumer = self.channel.basic_consume(
            short(&self.shared.queue),
            short(&tag),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        let what = format!("consuming {}", self.shared.queue);
        self.stream = Some(within(what, ASK_LIMIT, consumer).await?);
        self.shared.consuming.send_replace(true);
        Ok(())
    }

    /// Cancels, and hands back what nobody has been given yet.
    async fn cease(&mut self) -> Result<(), Error> {
        let Some(mut stream) = self.stream.take() else { return Ok(()) };
        let cancelled = self.channel.basic_cancel(stream.tag(), BasicCancelOptions::default());
        within(format!("cancelling {}", self.shared.queue), ASK_LIMIT, cancelled).await?;
        // The broker has answered: what is not here by now will not come any more.
        while let Some(Some(Ok(delivery))) = stream.next().now_or_never() {
            self.unsettled.add(delivery.delivery_tag, 1);
            self.settle_later(Settlement::HandBack(delivery.delivery_tag));
        }
        for delivery in self.shared.drain() {
            delivery.receipt.hand_back();
        }
        self.shared.consuming.send_replace(false);
        Ok(())
    }

    /// Takes the delivery and all those behind it that are here already.
    fn receive(
        &mut self,
        first: Option<lapin::Result<lapin::message::Delivery>>,
    ) -> Result<(), Error> {
        let Some(stream) = self.stream.as_mut() else { return Ok(()) };
        let mut next = Some(first);
        let mut arrived = Vec::new();
        while let Some(delivery) = next.take() {
            let delivery = match delivery {
                Some(Ok(delivery)) => delivery,
                Some(Err(source)) => {
                    return Err(Error::Broker { what: "consuming".to_owned(), source });
                }
                None => {
                    let queue = &self.shared.queue;
                    return Err(Error::Lost(format!("the broker cancelled consuming {queue}")));
                }
            };
            let tag = delivery.delivery_tag;
            let messages = Incoming::from_delivery(&self.shared.queue, delivery).unpacked();
            self.unsettled.add(tag, messages.len());
            if Safety::AckLast.is_off() {
                let _ = self.settle.send(Settlement::AckAll(vec![tag; messages.len()]));
            }
            let settle = &self.settle;
            arrived.extend(
                messages.into_iter().map(|message| Delivery::new(message, tag, settle.clone())),
            );
            next = stream.next().now_or_never();
        }
        self.shared.arrived(arrived);
        Ok(())
    }

    fn settle_later(&self, settlement: Settlement) {
        // Never fails: the receiving end is a field of this struct.
        let _ = self.settle.send(settlement);
    }

    /// This one, and whatever else has been settled meanwhile.
    async fn settle(&mut self, first: Settlement) -> Result<(), Error> {
        let rest = std::iter::from_fn(|| self.settlements.try_recv().ok());
        let words = self.unsettled.settle(std::iter::once(first).chain(rest));
        within("settling deliveries", ASK_LIMIT, self.say(words)).await
    }

    async fn say(&self, words: Words) -> lapin::Result<()> {
        let channel = &self.channel;
        // Polled in order, so that they are said in order.
        let back = words.back.into_iter().map(|(tag, back)| async move {
            match back {
                Back::Untouched => {
                    let options = BasicNackOptions { requeue: true, ..Default::default() };
                    channel.basic_nack(tag, options).await
                }
                Back::Failed => {
                    channel.basic_reject(tag, BasicRejectOptions { requeue: true }).await
                }
            }
        });
        for said in join_all(back).await {
            said?;
        }
        let acks = words
            .acks
            .into_iter()
            .map(|ack| channel.basic_ack(ack.tag, BasicAckOptions { multiple: ack.multiple }));
        for said in join_all(acks).await {
            said?;
        }
        Ok(())
    }

    /// A channel can die without a word, and the stream then waits for ever.
    async fn check(&self) -> Result<(), Error> {
        let queue = &self.shared.queue;
        let passive = QueueDeclareOptions { passive: true, ..Default::default() };
        let asked = self.channel.queue_declare(short(queue), passive, FieldTable::default());
        let known = within(format!("looking at queue {queue}"), ASK_LIMIT, asked).await?;
        if self.stream.is_some() && known.consumer_count() == 0 {
            return Err(Error::Lost(format!("the broker has forgotten who consumes {queue}")));
        }
        Ok(())
    }
}
