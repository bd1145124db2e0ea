//! A worker is away for a while under a steady load: what becomes of the sagas that are in flight,
//! and how long until everything is as before, with starts held back and without.

use crate::{
    four_steps::{FourSteps, Starts},
    load::{Measured, Offer, part},
    process::Instances,
    report::Row,
};
use anyhow::{Context, Result, ensure};
use sqlx::Row as _;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use time::OffsetDateTime;
use tokio::{sync::watch, task::JoinSet, time::sleep};
use uuid::Uuid;

/// Sagas a second, before, during and after: half of what the machine can do now, and no more.
const MOST: f64 = 300.0;
/// Before it, to know what is usual.
const CALM: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(100);
/// The second of four steps: those in flight have done something already and have more to do.
const WORKER: &str = "authorise";
/// For the backlog to be gone, as a multiple of the outage.
const PATIENCE: u32 = 12;

/// An outage of so many seconds, twice.
pub async fn run(instances: &Instances, seconds: u64, tell: impl Fn(&str)) -> Result<Row> {
    let mut row = Row { name: "outage", loads: Vec::new(), peaks: [0.0; 3], notes: Vec::new() };
    let mut rate = None;
    for (name, load, window) in
        [("outage_off", "admission off", Some("0")), ("outage_on", "admission on", None)]
    {
        tell(&format!("{load}: starting"));
        let env: Vec<_> = window.map(|window| ("SAGA_IN_FLIGHT", window)).into_iter().collect();
        let stack = FourSteps::named(instances, name, &env).await?;
        let warm = stack.load.saturated(4_000, 1_000, Duration::from_secs(8)).await?;
        stack.load.analyse().await?;
        // The same for both.
        let rate = *rate.get_or_insert((warm.rate / 2.0).min(MOST) as usize);
        tell(&format!("{load}: {seconds} s without the second worker"));
        let (measured, note) = one(&stack, rate, Duration::from_secs(seconds)).await?;
        stack.verify().await?;
        row.loads.push((format!("{load}, {rate}/s"), measured));
        row.notes.push(format!("{load}: {note}"));
        row.peaks = stack.load.meter.peaks();
    }
    Ok(row)
}

async fn one(stack: &FourSteps, rate: usize, outage: Duration) -> Result<(Measured, String)> {
    let load = &stack.load;
    let before = load.ended().await?;
    let begun = load.meter.begin().await?;
    let offered = Arc::new(AtomicUsize::new(0));
    let (stop, stopped) = watch::channel(false);
    let offering =
        tokio::spawn(offer(Arc::clone(&load.offer), rate, Arc::clone(&offered), stopped));
    let backlog = async || -> Result<usize> {
        let offered = offered.load(Ordering::Relaxed);
        Ok(offered.saturating_sub(load.ended().await? - before))
    };
    let mut usual = 0;
    let calm = Instant::now();
    while calm.elapsed() < CALM {
        sleep(LOOK).await;
        usual = usual.max(backlog().await?);
    }

    let worker = stack.process(WORKER)?;
    worker.signal("STOP").await?;
    sleep(outage).await;
    let waiting = backlog().await?;
    let open: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM saga WHERE ended_at IS NULL")
        .fetch_all(&load.journal)
        .await?;
    worker.signal("CONT").await?;
    let (back, returned) = (Instant::now(), OffsetDateTime::now_utc());
    loop {
        sleep(LOOK).await;
        let left = backlog().await?;
        if left <= usual {
            break;
        }
        ensure!(back.elapsed() < outage * PATIENCE, "{left} sagas are still to be done");
    }
    let drained = back.elapsed();
    stop.send_replace(true);
    let all = offering.await??;
    load.until_ended(before + all.len()).await?;

    let rows = sqlx::query("SELECT created_at, ended_at FROM saga WHERE id = ANY($1)")
        .bind(&open)
        .fetch_all(&load.journal)
        .await?;
    let (mut lives, mut rest) = (Vec::new(), Vec::new());
    for row in rows {
        let (created, ended): (OffsetDateTime, Option<OffsetDateTime>) =
            (row.try_get("created_at")?, row.try_get("ended_at")?);
        let ended = ended.context("a saga has not ended")?;
        lives.push((ended - created).as_seconds_f64());
        rest.push((ended - returned).as_seconds_f64());
    }
    let note = format!(
        "{} of {waiting} unfinished sagas were in flight when the worker came back; they took \
         {:.1} s from begin to end at p99, the last {:.1} s of it after that; the backlog was as \
         before (at most {usual}) after {:.1} s",
        open.len(),
        part(&mut lives, 0.99),
        part(&mut rest, 0.99),
        drained.as_secs_f64(),
    );
    Ok((load.measured(begun, all).await?, note))
}

/// Offers at the steady rate until told to stop; each saga with the time at which it was due.
async fn offer(
    starts: Arc<Starts>,
    rate: usize,
    offered: Arc<AtomicUsize>,
    stopped: watch::Receiver<bool>,
) -> Result<HashMap<Uuid, OffsetDateTime>> {
    let (start, clock) = (Instant::now(), OffsetDateTime::now_utc());
    let mut tasks = JoinSet::new();
    let mut sent = 0;
    while !*stopped.borrow() {
        let due = (start.elapsed().as_secs_f64() * rate as f64) as usize + 1;
        let (first, count) = (sent, due - sent);
        if count > 0 {
            let starts = Arc::clone(&starts);
            tasks.spawn(async move { (first, starts.offer(count).await) });
            sent = due;
            offered.store(sent, Ordering::Relaxed);
        }
        sleep(Duration::from_millis(2)).await;
    }
    let mut all = HashMap::new();
    while let Some(done) = tasks.join_next().await {
        let (first, begun) = done?;
        all.extend(begun?.into_iter().zip(first..).map(|((id, _), place)| {
            (id, clock + Duration::from_secs_f64(place as f64 / rate as f64))
        }));
    }
    Ok(all)
}
