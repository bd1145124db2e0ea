//! The process from its start to its orderly end.

use crate::{
    MIGRATOR,
    admission::Admission,
    api::{self, participants::Participants},
    config::Settings,
    console,
    dead_letters::{self, Office},
    engine::Engine,
    gauges,
    intake::{self, Intake, Kind},
    retention::Retention,
    sending::Sender,
    series::SERIES,
    tally,
    wakeups::Wakeups,
};
use messaging::{Amqp, Consumer, Publisher, REPLIES_QUEUE, STARTS_QUEUE, Topology};
use runtime::{
    config,
    health::{Health, Part},
    http,
    series::describe,
    shutdown::Shutdown,
    trace,
};
use saga_core::Catalogue;
use std::sync::Arc;
use tokio::task::JoinSet;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error(transparent)]
    Address(#[from] messaging::BadAddress),
    #[error(transparent)]
    Participants(#[from] api::participants::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Http(#[from] http::Error),
    #[error("the broker's queues are not as they must be")]
    Broker(#[from] messaging::Error),
    #[error("a part of the orchestrator ended by itself")]
    Ended,
}

/// Drives the sagas of `catalogue` until `shutdown` begins. HTTP is served from the start, so that `/readyz` can say what is
/// missing; queues are touched once journal and broker are in order.
pub async fn serve(
    settings: Settings,
    catalogue: Catalogue,
    shutdown: Shutdown,
) -> Result<(), Error> {
    let amqp = Amqp::from_env("orchestrator")?;
    let (bind, port) = config::http_address(8000)?;
    let letters = dead_letters::Settings::from_env()?;
    let pool = store::pool(&settings.database, "orchestrator")?;
    let lanes = store::lanes(&settings.database, "orchestrator")?;
    tracing::info!(?settings, ?letters, %bind, port, "starting");
    describe(messaging::series::SERIES);
    describe(SERIES);
    tally::begin(&catalogue);
    intake::begin();
    let health = Health::new();
    let database = health.part("database");
    let schema = health.part("migrations");
    let queued = health.part("queues");
    let publisher = Publisher::start(&amqp, health.part("publisher"), &shutdown);
    let engine =
        Engine { pool: pool.clone(), lanes: lanes.clone(), catalogue: Arc::new(catalogue) };
    let sender = Sender { publisher: publisher.clone(), shutdown: shutdown.clone() };
    let office = Office::new(&letters, engine.clone(), publisher.clone(), shutdown.clone());
    let participants = Participants::from_env(&amqp)?;
    let desk = api::Desk::new(engine.clone(), sender.clone(), participants);

    let mut parts: JoinSet<Result<(), Error>> = JoinSet::new();
    let router = api::router(desk, office.clone()).merge(console::router());
    let listening = http::serve(bind, port, router, health.clone(), shutdown.clone());
    parts.spawn(async move { Ok(listening.await?) });
    let admission =
        Admission::new(pool.clone(), settings.in_flight, database.clone(), shutdown.clone());
    let retention = settings.retention.map(|age| Retention {
        pool: pool.clone(),
        age,
        shutdown: shutdown.clone(),
    });
    let intake = Intake {
        engine,
        sender,
        database,
        shutdown: shutdown.clone(),
        check_senders: settings.check_senders,
        batch: settings.batch,
        overlap: settings.overlap,
        admission,
    };
    parts.spawn(drive(intake, retention, office, amqp, health, schema, queued));

    let mut result = Ok(());
    while let Some(ended) = parts.join_next().await {
        let ended = ended.unwrap_or(Err(Error::Ended));
        let ended = if shutdown.is_begun() { ended } else { ended.and(Err(Error::Ended)) };
        if result.is_ok() {
            result = ended;
        }
        // One part without the others is no orchestrator.
        shutdown.begin();
    }
    publisher.close().await;
    lanes.close().await;
    pool.close().await;
    trace::flush().await;
    tracing::info!("stopped");
    result
}

/// The queues and the clock.
async fn drive(
    intake: Intake,
    retention: Option<Retention>,
    office: Office,
    amqp: Amqp,
    health: Health,
    schema: Part,
    queued: Part,
) -> Result<(), Error> {
    let shutdown = intake.shutdown.clone();
    if !store::migrate::in_order(&intake.engine.pool, &MIGRATOR, &schema, &shutdown).await {
        return Ok(());
    }
    let topology = Topology::orchestrator();
    match messaging::prepare(&amqp, &topology, &shutdown).await {
        Err(_) if shutdown.is_begun() => return Ok(()),
        prepared => prepared?,
    }
    let room = intake.batch * intake.overlap * 2;
    let consume = |queue: &str, prefetch: usize| {
        let prefetch = u16::try_from(prefetch).unwrap_or(u16::MAX);
        Consumer::start(&amqp, queue, topology.clone(), prefetch, health.part(queue), &shutdown)
    };
    let mut running = JoinSet::new();
    running.spawn(intake.clone().run(consume(REPLIES_QUEUE, room), Kind::Replies));
    // Finish first: starts come in smaller helpings than replies.
    let starts = Intake { batch: (intake.batch / 4).max(1), overlap: 2, ..intake.clone() };
    let helping = starts.admission.helping(starts.batch * starts.overlap);
    running.spawn(starts.admission.clone().watch());
    if let Some(retention) = retention {
        running.spawn(retention.run());
    }
    running.spawn(starts.run(consume(STARTS_QUEUE, helping), Kind::Starts));
    let Intake { engine, sender, database, shutdown, .. } = intake;
    let (pool, catalogue) = (engine.pool.clone(), Arc::clone(&engine.catalogue));
    running.spawn(gauges::run(pool, catalogue, shutdown.clone()));
    running.spawn(office.run(amqp.clone()));
    running.spawn(Wakeups { engine, sender, database, shutdown }.run());
    // Before, what is sent here reaches nobody.
    queued.up();
    while let Some(ended) = running.join_next().await {
        ended.map_err(|_| Error::Ended)?;
    }
    Ok(())
}
