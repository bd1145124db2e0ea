//! A service from its start to its orderly end.

use crate::{
    Context, Error, Settings,
    commands::Commands,
    database::Database,
    desk::Desk,
    events::Events,
    retelling::{self, Retelling},
    series::{self, SERIES},
    together::Together,
    worker::Routes,
};
use axum::Router;
use messaging::{Amqp, Consumer, Publisher, Topology, command_queue, event_queue};
use runtime::{
    health::{Health, Part},
    http,
    series::describe,
    shutdown::Shutdown,
    trace,
};
use sqlx::migrate::Migrator;
use std::{net::IpAddr, sync::Arc};
use store::relay::Relay;
use tokio::task::JoinSet;

/// What was put together.
pub(crate) struct Service<S> {
    pub(crate) service: Arc<S>,
    pub(crate) desk: Desk,
    pub(crate) settings: Settings,
    pub(crate) amqp: Amqp,
    pub(crate) address: (IpAddr, u16),
    pub(crate) routes: Option<Routes<S>>,
    pub(crate) migrator: Option<&'static Migrator>,
    /// Asked for events that the queue has lost.
    pub(crate) publisher: Option<retelling::Publisher>,
}

/// Until a stop begins. HTTP is served from the beginning, so that `/readyz` can say what is missing;
/// queues are touched once broker and database are in order.
pub(crate) async fn serve<S: Send + Sync + 'static>(
    service: Service<S>,
    shutdown: Shutdown,
) -> Result<(), Error> {
    let Service { service, desk, settings, amqp, address, routes, migrator, publisher: asked } =
        service;
    let pool = store::pool(&settings.database, desk.name)?;
    let lanes = store::lanes(&settings.database, desk.name)?;
    let (bind, port) = address;
    tracing::info!(?settings, %bind, port, "starting");

    describe(messaging::series::SERIES);
    describe(SERIES);
    series::begin(desk.name);
    let health = Health::new();
    let part = Some(health.part("database"));
    let database = Database::new(desk.name, pool.clone(), lanes.clone(), shutdown.clone(), part);
    let schema = health.part("migrations");
    let queued = health.part("queues");
    let publisher = Publisher::start(&amqp, health.part("publisher"), &shutdown);
    let relay = Relay::start(pool.clone(), publisher.clone(), shutdown.clone());
    let context = Context {
        pool: pool.clone(),
        service,
        relay: relay.clone(),
        health: health.clone(),
        shutdown: shutdown.clone(),
    };
    let router = routes.map_or_else(Router::new, |routes| routes(&context));

    let mut parts: JoinSet<Result<(), Error>> = JoinSet::new();
    let listening = http::serve(bind, port, router, health.clone(), shutdown.clone());
    parts.spawn(async move { Ok(listening.await?) });
    let watching = database.clone().watch();
    parts.spawn(async move {
        watching.await;
        Ok(())
    });
    let queues =
        Queues { desk, settings, amqp, health, database, schema, queued, migrator, relay, asked };
    parts.spawn(queues.run(publisher.clone(), shutdown.clone()));

    let mut result = Ok(());
    while let Some(ended) = parts.join_next().await {
        let ended = ended.unwrap_or(Err(Error::Ended));
        if ended.is_ok() && !shutdown.is_begun() {
            result = Err(Error::Ended);
        }
        if ended.is_err() && result.is_ok() {
            result = ended;
        }
        // One part without the others is no service.
        shutdown.begin();
    }
    publisher.close().await;
    lanes.close().await;
    pool.close().await;
    trace::flush().await;
    tracing::info!("stopped");
    result
}

struct Queues {
    desk: Desk,
    settings: Settings,
    amqp: Amqp,
    health: Health,
    database: Database,
    schema: Part,
    /// Up once they exist: before, what is sent to this service reaches nobody.
    queued: Part,
    migrator: Option<&'static Migrator>,
    relay: Relay,
    asked: Option<retelling::Publisher>,
}

impl Queues {
    async fn run(self, publisher: Publisher, shutdown: Shutdown) -> Result<(), Error> {
        let Queues {
            desk,
            settings,
            amqp,
            health,
            database,
            schema,
            queued,
            migrator,
            relay,
            asked,
        } = self;
        match migrator {
            Some(migrator) => {
                let pool = &database.pool;
                if !store::migrate::in_order(pool, migrator, &schema, &shutdown).await {
                    return Ok(());
                }
            }
            None => schema.up(),
        }
        database.up();
        let name = desk.name;
        let desk = Arc::new(desk);
        let events = desk.events();
        let topology = match (desk.takes_commands(), events.is_empty()) {
            (true, true) => Topology::participant(name),
            (true, false) => Topology::participant(name).events(&events),
            (false, false) => Topology::subscriber(name, &events),
            (false, true) => {
                queued.up();
                shutdown.begun().await;
                return Ok(());
            }
        };
        match messaging::prepare(&amqp, &topology, &shutdown).await {
            Ok(()) => {}
            Err(_) if shutdown.is_begun() => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let consume = |queue: String| {
            let part = health.part(queue.clone());
            Consumer::start(&amqp, queue, topology.clone(), settings.prefetch(), part, &shutdown)
        };
        let mut consumers = JoinSet::new();
        if desk.takes_commands() {
            let commands = Commands {
                desk: Arc::clone(&desk),
                database: database.clone(),
                publisher: publisher.clone(),
                shutdown: shutdown.clone(),
                settings: settings.clone(),
                leaving: Together::default(),
            };
            consumers.spawn(Arc::new(commands).run(consume(command_queue(name))));
        }
        if !events.is_empty() {
            let consumer = consume(event_queue(name));
            if let Some(publisher) = asked {
                let retelling = Retelling {
                    publisher,
                    desk: Arc::clone(&desk),
                    database: database.clone(),
                    relay: relay.clone(),
                    shutdown: shutdown.clone(),
                };
                consumers.spawn(retelling.run());
            }
            let listener =
                Events { desk, database, publisher, relay, shutdown: shutdown.clone(), settings };
            consumers.spawn(Arc::new(listener).run(consumer));
        }
        queued.up();
        while let Some(ended) = consumers.join_next().await {
            ended.map_err(|_| Error::Ended)?;
        }
        Ok(())
    }
}
