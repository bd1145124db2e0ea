use crate::{
    Context, Handle, HandleMany, Listen, ListenMany, Outside, Settings,
    desk::Desk,
    retelling::Publisher,
    serve::{self, Service},
};
use axum::Router;
use contracts::{Command, Event, Never};
use messaging::Amqp;
use runtime::{config, http, outside, shutdown::Shutdown, telemetry};
use sqlx::migrate::Migrator;
use std::{net::IpAddr, sync::Arc};

/// Why a service does not run, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error("AMQP_URL is not usable")]
    Broker(#[from] messaging::BadAddress),
    #[error("DATABASE_URL is not usable")]
    Database(#[from] store::Error),
    #[error("the queues could not be declared")]
    Topology(#[from] messaging::Error),
    #[error("migrating failed")]
    Migrate(#[from] store::migrate::Error),
    #[error("who tells events again cannot be asked")]
    Publisher(#[from] outside::Error),
    #[error("the HTTP server failed")]
    Http(#[from] http::Error),
    #[error("the service is put together wrongly: {0}")]
    Registration(String),
    #[error("unknown subcommand {0:?}: there are `serve` (the default) and `migrate`")]
    Usage(String),
    #[error("a part of the service ended unexpectedly")]
    Ended,
}

pub(crate) type Routes<S> = Box<dyn FnOnce(&Context<S>) -> Router + Send>;

/// A service being put together: what it handles, what it listens to, what it serves.
pub struct Worker<S> {
    pub(crate) service: Arc<S>,
    pub(crate) desk: Desk,
    settings: Option<Settings>,
    routes: Option<Routes<S>>,
    migrator: Option<&'static Migrator>,
    /// A publisher's name, and where it serves HTTP.
    retold_by: Option<(&'static str, String)>,
    port: u16,
}

impl<S: Send + Sync + 'static> Worker<S> {
    /// Sets up logs and metrics and reads the environment; nothing is connected yet. `name` is
    /// the participant: the part of its commands' types before the dot.
    pub fn from_env(name: &'static str, service: S) -> Result<Self, Error> {
        telemetry::init(name);
        let settings = Settings::from_env()?;
        Ok(Worker { settings: Some(settings), ..Worker::new(name, service) })
    }

    /// Reads the environment only when it runs; for a service that tests put on a
    /// [bench](crate::testing::Bench) as well.
    pub fn new(name: &'static str, service: S) -> Self {
        Worker {
            service: Arc::new(service),
            desk: Desk::new(name),
            settings: None,
            routes: None,
            migrator: None,
            retold_by: None,
            port: 8080,
        }
    }

    /// The service itself, as its handlers see it.
    pub fn service(&self) -> Arc<S> {
        Arc::clone(&self.service)
    }

    /// An action and its compensation; their whole effect is in the database.
    #[must_use]
    pub fn pair<A, B>(mut self) -> Self
    where
        A: Command,
        B: Command<Refusal = Never>,
        S: Handle<A> + Handle<B>,
    {
        self.desk.handle::<S, A>(&self.service);
        self.desk.handle::<S, B>(&self.service);
        self
    }

    /// A step without compensation: it comes after the pivot, is the pivot, or only reads. One
    /// after the pivot has [`Never`] as its refusal.
    #[must_use]
    pub fn retriable<C: Command>(mut self) -> Self
    where
        S: Handle<C>,
    {
        self.desk.handle::<S, C>(&self.service);
        self
    }

    /// Commands of this kind, which are registered besides, may be handled many at one go.
    #[must_use]
    pub fn set_wise<C: Command>(mut self) -> Self
    where
        S: HandleMany<C>,
    {
        self.desk.handle_many::<S, C>(&self.service);
        self
    }

    /// An action and its compensation that reach outside the database.
    #[must_use]
    pub fn pair_outside<A, B>(mut self) -> Self
    where
        A: Command,
        B: Command<Refusal = Never>,
        S: Outside<A> + Outside<B>,
    {
        self.desk.outside::<S, A>(&self.service);
        self.desk.outside::<S, B>(&self.service);
        self
    }

    /// A step without compensation that reaches outside the database.
    #[must_use]
    pub fn outside<C: Command>(mut self) -> Self
    where
        S: Outside<C>,
    {
        self.desk.outside::<S, C>(&self.service);
        self
    }

    /// Listens to an event, through the queue `<name>.events`.
    #[must_use]
    pub fn on<E: Event>(mut self) -> Self
    where
        S: Listen<E>,
    {
        self.desk.listen::<S, E>(&self.service);
        self
    }

    /// Listens to an event as [`on`](Self::on) does, and takes in those that come together at one go.
    #[must_use]
    pub fn on_many<E: Event>(mut self) -> Self
    where
        S: ListenMany<E>,
    {
        self.desk.listen_many::<S, E>(&self.service);
        self
    }

    /// Asks the publisher of its events from time to time what there was to hear, so that nothing is
    /// missed when the queue is lost. `base` is where that serves HTTP (`http://order:8001`); where it
    /// is empty nobody is asked. The service's database has the table of `shared/store/retold.sql`.
    #[must_use]
    pub fn retold_by(mut self, name: &'static str, base: &str) -> Self {
        self.retold_by = Some((name, base.to_owned()));
        self
    }

    /// What it serves over HTTP besides `/healthz`, `/readyz` and `/metrics`.
    #[must_use]
    pub fn routes(mut self, routes: impl FnOnce(&Context<S>) -> Router + Send + 'static) -> Self {
        self.routes = Some(Box::new(routes));
        self
    }

    /// What its database must have applied before it works; applied by the subcommand `migrate`.
    #[must_use]
    pub fn migrations(mut self, migrator: &'static Migrator) -> Self {
        self.migrator = Some(migrator);
        self
    }

    /// Where it listens unless `PORT` says otherwise.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// The whole of `main`: serves until SIGTERM or SIGINT, finishing what it has begun; or
    /// migrates, when called with the subcommand `migrate`.
    pub async fn run_until_signal(mut self) -> Result<(), Error> {
        let settings = match self.settings.take() {
            Some(settings) => settings,
            None => {
                telemetry::init(self.desk.name);
                Settings::from_env()?
            }
        };
        match std::env::args().nth(1).as_deref() {
            None | Some("serve") => {
                let amqp = Amqp::from_env(self.desk.name)?;
                let address = config::http_address(self.port)?;
                self.run(settings, amqp, address, Shutdown::on_signals()).await
            }
            Some("migrate") => {
                if let Some(migrator) = self.migrator {
                    store::migrate::run(&settings.database, migrator).await?;
                }
                tracing::info!("migrations applied");
                Ok(())
            }
            Some(other) => Err(Error::Usage(other.to_owned())),
        }
    }

    /// Serves until `shutdown` begins, finishing what it has begun.
    pub async fn run(
        self,
        settings: Settings,
        amqp: Amqp,
        address: (IpAddr, u16),
        shutdown: Shutdown,
    ) -> Result<(), Error> {
        if !self.desk.mistakes.is_empty() {
            return Err(Error::Registration(self.desk.mistakes.join("; ")));
        }
        let Worker { service, desk, routes, migrator, retold_by, .. } = self;
        let publisher = match retold_by {
            Some((publisher, base)) if base.is_empty() => {
                tracing::warn!(publisher, "is not asked for events that a lost queue held");
                None
            }
            Some((name, base)) => {
                Some(Publisher { name, outside: outside::Outside::new(name, &base)? })
            }
            None => None,
        };
        let service =
            Service { service, desk, settings, amqp, address, routes, migrator, publisher };
        serve::serve(service, shutdown).await
    }
}
