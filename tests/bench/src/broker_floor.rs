//! What RabbitMQ allows: the same eight messages per saga, persistent and confirmed, through bare
//! lapin, with participants that only echo and no database at all.

use crate::{
    load::Measured,
    meter::Meter,
    process::Instances,
    saga::{Goods, PARTICIPANTS},
};
use anyhow::{Context, Result, ensure};
use futures_util::{FutureExt, StreamExt, future::try_join_all};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
        ConfirmSelectOptions, QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable, ShortString},
};
use std::time::{Duration, Instant};
use tokio::{sync::mpsc, task::JoinSet, time::sleep};

const REPLIES: &str = "replies";
const MOST: usize = 200;
/// Between two looks whether the next saga is due.
const TICK: Duration = Duration::from_millis(1);

struct Seat {
    publish: Channel,
    consume: Channel,
}

/// What is told of a batch of replies: for each, its saga and the step that it comes from.
type Told = Vec<(u32, usize)>;

/// When sagas begin.
#[derive(Clone, Copy)]
pub enum Pace {
    /// So many at any time.
    InFlight(u32),
    PerSecond(u32),
}

pub async fn run(instances: &Instances, name: &str, sagas: u32, pace: Pace) -> Result<Measured> {
    let url = instances.vhost(&format!("bench-broker-{name}")).await?;
    let mut seats = Vec::new();
    for queue in PARTICIPANTS.into_iter().chain([REPLIES]) {
        seats.push(Seat::take(url.as_str(), queue).await?);
    }
    let meter = Meter::new(instances, &[], &[])?;
    let coordinator = seats.pop().context("no seat")?;
    let mut echoes = JoinSet::new();
    for (queue, seat) in PARTICIPANTS.into_iter().zip(seats) {
        echoes.spawn(async move { echo(&seat, queue).await });
    }
    let (told, mut tell) = mpsc::channel(64);
    echoes.spawn(async move { coordinate(&coordinator, told).await });

    let starter = Seat::open(url.as_str()).await?;
    let begun = meter.begin().await?;
    let mut starts = vec![None; sagas as usize];
    let mut waits = Vec::new();
    let (mut next, first) = (0, Instant::now());
    while (waits.len() as u32) < sagas {
        let due = match pace {
            Pace::InFlight(window) => waits.len() as u32 + window,
            Pace::PerSecond(rate) => (first.elapsed().as_secs_f64() * f64::from(rate)) as u32 + 1,
        };
        let batch: Vec<u32> = (next..sagas.min(due)).collect();
        next += batch.len() as u32;
        for saga in &batch {
            starts[*saga as usize] = Some(Instant::now());
        }
        let commands: Vec<_> = batch.into_iter().map(|saga| (PARTICIPANTS[0], saga, 0)).collect();
        starter.publish(&commands).await?;
        tokio::select! {
            ended = tell.recv() => for (saga, _) in ended.context("the coordinator is gone")? {
                let start = starts[saga as usize].take().context("a saga ended twice")?;
                waits.push(start.elapsed().as_secs_f64() * 1000.0);
            },
            () = sleep(TICK), if matches!(pace, Pace::PerSecond(_)) => {}
            failed = echoes.join_next() => {
                failed.context("no participant")???;
                anyhow::bail!("a participant has ended");
            }
        }
    }
    let cost = meter.end(begun, sagas as usize).await?;
    ensure!(starts.iter().all(Option::is_none), "a saga is lost");
    waits.sort_unstable_by(f64::total_cmp);
    let at = |part: f64| waits[((waits.len() - 1) as f64 * part) as usize];
    let rate = f64::from(sagas) / cost.seconds;
    Ok(Measured { sagas: sagas as usize, rate, p50: at(0.5), p99: at(0.99), cost })
}

/// Answers each command with a reply of the same size.
async fn echo(seat: &Seat, queue: &str) -> Result<()> {
    let mut stream = seat.consume(queue).await?;
    let mut batch = Vec::new();
    loop {
        let last = seat.batch(&mut stream, &mut batch).await?;
        let replies: Vec<_> = batch.drain(..).map(|(saga, step)| (REPLIES, saga, step)).collect();
        seat.publish(&replies).await?;
        seat.ack(last).await?;
    }
}

/// Follows each reply with the next step's command, and tells of the sagas that have ended.
async fn coordinate(seat: &Seat, told: mpsc::Sender<Told>) -> Result<()> {
    let mut stream = seat.consume(REPLIES).await?;
    let mut batch = Vec::new();
    loop {
        let last = seat.batch(&mut stream, &mut batch).await?;
        let (on, ended): (Vec<_>, Vec<_>) =
            batch.drain(..).partition(|(_, step)| step + 1 < PARTICIPANTS.len());
        let commands: Vec<_> =
            on.into_iter().map(|(saga, step)| (PARTICIPANTS[step + 1], saga, step + 1)).collect();
        seat.publish(&commands).await?;
        seat.ack(last).await?;
        if !ended.is_empty() {
            told.send(ended).await?;
        }
    }
}

impl Seat {
    async fn open(url: &str) -> Result<Self> {
        let connect = || Connection::connect(url, ConnectionProperties::default());
        let publish = connect().await?.create_channel().await?;
        publish.confirm_select(ConfirmSelectOptions::default()).await?;
        let consume = connect().await?.create_channel().await?;
        consume.basic_qos(MOST as u16 * 3, BasicQosOptions::default()).await?;
        Ok(Seat { publish, consume })
    }

    async fn take(url: &str, queue: &str) -> Result<Self> {
        let seat = Seat::open(url).await?;
        let mut kind = FieldTable::default();
        kind.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        let durable = QueueDeclareOptions { durable: true, ..Default::default() };
        seat.consume.queue_declare(queue.into(), durable, kind).await?;
        Ok(seat)
    }

    async fn consume(&self, queue: &str) -> Result<lapin::Consumer> {
        let options = BasicConsumeOptions::default();
        let tag: ShortString = queue.into();
        Ok(self.consume.basic_consume(queue.into(), tag, options, FieldTable::default()).await?)
    }

    /// What is there, at least one; the tag of the last.
    async fn batch(&self, stream: &mut lapin::Consumer, batch: &mut Told) -> Result<u64> {
        let mut next = stream.next().await;
        let mut last = 0;
        loop {
            let delivery = next.context("the broker has cancelled")??;
            last = delivery.delivery_tag.max(last);
            let id = delivery.properties.message_id().as_ref().context("no message id")?.as_str();
            let (saga, step) = id.split_once('/').context("not a message id")?;
            batch.push((saga.parse()?, step.parse()?));
            if batch.len() == MOST {
                return Ok(last);
            }
            match stream.next().now_or_never() {
                Some(more) => next = more,
                None => return Ok(last),
            }
        }
    }

    async fn ack(&self, last: u64) -> Result<()> {
        Ok(self.consume.basic_ack(last, BasicAckOptions { multiple: true }).await?)
    }

    async fn publish(&self, messages: &[(&str, u32, usize)]) -> Result<()> {
        let body = serde_json::to_vec(&Goods::new(false))?;
        let confirms = messages.iter().map(|(queue, saga, step)| {
            let properties = properties(*saga, *step);
            let (channel, body) = (&self.publish, &body);
            async move {
                let options = BasicPublishOptions { mandatory: true, ..Default::default() };
                let sent =
                    channel.basic_publish("".into(), (*queue).into(), options, body, properties);
                sent.await?.await
            }
        });
        let confirmed = try_join_all(confirms).await?;
        let sound = confirmed.iter().all(|it| matches!(it, Confirmation::Ack(None)));
        ensure!(sound, "the broker refused a message");
        Ok(())
    }
}

/// As many, and as long, as those of the real messages.
fn properties(saga: u32, step: usize) -> BasicProperties {
    let text = |value: &str| AMQPValue::LongString(value.into());
    let mut headers = FieldTable::default();
    headers.insert("saga-definition".into(), text("bench"));
    headers.insert("saga-step".into(), text(PARTICIPANTS[step]));
    headers.insert("saga-leg".into(), text("action"));
    headers.insert("saga-attempt".into(), AMQPValue::LongLongInt(1));
    headers.insert("saga-deadline".into(), text("2026-03-01T12:30:00.250Z"));
    headers.insert("schema-version".into(), AMQPValue::LongLongInt(1));
    BasicProperties::default()
        .with_message_id(format!("{saga}/{step}").into())
        .with_correlation_id("00000000-0000-0000-0000-000000000000".into())
        .with_type(format!("{}.do", PARTICIPANTS[step]).into())
        .with_content_type("application/json".into())
        .with_app_id("bench".into())
        .with_delivery_mode(2)
        .with_headers(headers)
}
