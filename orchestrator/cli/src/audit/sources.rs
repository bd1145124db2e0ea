//! Where everything is, as the environment says.

use super::{error::Error, invariant::Need};
use reqwest::Url;
use runtime::config::{self, Redacted};
use std::{collections::BTreeMap, env};

/// Every service with a database.
pub const SERVICES: [&str; 7] =
    ["orchestrator", "order", "inventory", "payment", "notification", "shipping", "analytics"];

/// What can be read.
#[derive(Clone, Debug)]
pub struct Sources {
    pub(crate) databases: BTreeMap<&'static str, Redacted>,
    /// The base URL of the simulator.
    pub(crate) simulator: Option<Redacted>,
    pub(crate) broker: Option<Broker>,
    pub(crate) http: reqwest::Client,
}

#[derive(Clone, Debug)]
pub(crate) struct Broker {
    /// Of the management API, with the login in it.
    pub url: Redacted,
    pub vhost: String,
}

impl Sources {
    /// Nothing to read yet.
    pub fn none() -> Result<Self, Error> {
        let http = runtime::http_client::client()?;
        Ok(Sources { databases: BTreeMap::new(), simulator: None, broker: None, http })
    }

    /// `AUDIT_<SERVICE>_URL`, or `AUDIT_DATABASE_URL` with the service as its database's name;
    /// `SIMULATOR_URL`; `RABBITMQ_MANAGEMENT_URL` with `RABBITMQ_VHOST` (saga).
    pub fn from_env() -> Result<Self, Error> {
        let mut sources = Sources::none()?;
        let one = given("AUDIT_DATABASE_URL")?;
        for service in SERVICES {
            let own = given(&format!("AUDIT_{}_URL", service.to_uppercase()))?;
            let url = match (own, &one) {
                (Some(own), _) => own,
                (None, Some(one)) => renamed(one, service)?,
                (None, None) => continue,
            };
            sources.databases.insert(service, url);
        }
        if let Some(url) = given("RABBITMQ_MANAGEMENT_URL")? {
            let vhost = config::env("RABBITMQ_VHOST", Some("saga".to_owned()))?;
            sources = sources.with_broker(url, vhost);
        }
        sources.simulator = given("SIMULATOR_URL")?;
        match sources.databases.contains_key("orchestrator") {
            true => Ok(sources),
            false => Err(Error::NoJournal),
        }
    }

    /// A service's database.
    pub fn with_database(mut self, service: &'static str, url: Redacted) -> Self {
        self.databases.insert(service, url);
        self
    }

    /// The simulator's base URL.
    pub fn with_simulator(mut self, url: Redacted) -> Self {
        self.simulator = Some(url);
        self
    }

    /// The management API's base URL, with the login in it.
    pub fn with_broker(mut self, url: Redacted, vhost: impl Into<String>) -> Self {
        self.broker = Some(Broker { url, vhost: vhost.into() });
        self
    }

    pub fn has(&self, need: Need) -> bool {
        match need {
            Need::Database(service) => self.databases.contains_key(service),
            Need::Simulator => self.simulator.is_some(),
            Need::Broker => self.broker.is_some(),
        }
    }
}

fn given(name: &str) -> Result<Option<Redacted>, Error> {
    match env::var(name).is_ok_and(|value| !value.trim().is_empty()) {
        true => Ok(Some(config::env(name, None)?)),
        false => Ok(None),
    }
}

/// The same server, login and options, another database.
fn renamed(url: &Redacted, database: &str) -> Result<Redacted, Error> {
    let wrong = |_| Error::Url("AUDIT_DATABASE_URL".to_owned());
    let mut url = Url::parse(url.expose()).map_err(wrong)?;
    url.set_path(database);
    Ok(Redacted::new(url.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_url_serves_for_every_database() {
        let one = Redacted::new("postgres://auditor:s3cret@db:5432/postgres?sslmode=require");
        let order = renamed(&one, "order").unwrap();
        assert_eq!(order.expose(), "postgres://auditor:s3cret@db:5432/order?sslmode=require");
        assert!(!format!("{order}").contains("s3cret"));
    }
}
