//! Orders, placed by REST and driven by the real services, the simulated gateway and carrier too.

use crate::{
    load::{Load, Offer},
    meter::Meter,
    process::{Instances, Process, environment, free_port, migrate, pool},
};
use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::Client;
use serde_json::{Value, json};
use sqlx::PgPool;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use time::OffsetDateTime;
use uuid::Uuid;

const SERVICES: [&str; 7] =
    ["orchestrator", "order", "inventory", "payment", "shipping", "notification", "analytics"];
/// Requests at one time.
const CLIENTS: usize = 32;

pub struct Orders {
    pub load: Load<Customers>,
    databases: BTreeMap<&'static str, PgPool>,
    simulator: String,
    /// Killed when this is dropped.
    _processes: Vec<Process>,
}

/// Places orders.
pub struct Customers {
    client: Client,
    url: String,
    offered: AtomicUsize,
    /// Every how many-th card is declined; 0 for none.
    pub failing: AtomicUsize,
}

impl Offer for Customers {
    async fn offer(&self, count: usize) -> Result<Vec<(Uuid, OffsetDateTime)>> {
        let orders = (0..count).map(|_| self.place());
        stream::iter(orders).buffer_unordered(CLIENTS).try_collect().await
    }
}

impl Customers {
    async fn place(&self) -> Result<(Uuid, OffsetDateTime)> {
        let failing = self.failing.load(Ordering::Relaxed);
        let number = self.offered.fetch_add(1, Ordering::Relaxed);
        let declined = failing > 0 && number.is_multiple_of(failing);
        let product = format!("prod_{:03}", 1 + number % 20);
        let order = json!({
            "customer_id": format!("cust_{}", number % 1_000),
            "items": [{ "product_id": product, "quantity": 1 }],
            "payment_method": if declined { "card_declined" } else { "card_ok" },
        });
        let now = OffsetDateTime::now_utc();
        let answer = self.client.post(&self.url).json(&order).send().await?;
        let answer: Value = answer.error_for_status()?.json().await?;
        let id = answer["order_id"].as_str().context("no order_id in the answer")?;
        Ok((id.parse()?, now))
    }
}

impl Orders {
    pub async fn start(instances: &Instances) -> Result<Self> {
        let amqp = instances.vhost("bench-orders").await?;
        let ports: BTreeMap<&str, u16> = SERVICES
            .into_iter()
            .chain(["simulator"])
            .map(|name| Ok((name, free_port()?)))
            .collect::<Result<_>>()?;
        let address = |name: &str| format!("http://127.0.0.1:{}", ports[name]);
        let set = |env: &mut BTreeMap<String, String>| {
            env.insert("ORCHESTRATOR_URL".into(), address("orchestrator"));
            env.insert("GATEWAY_URL".into(), format!("{}/gateway", address("simulator")));
            env.insert("CARRIER_URL".into(), format!("{}/carrier", address("simulator")));
            env.insert("NOTIFICATION_FILE".into(), "/dev/null".into());
        };
        let mut env = environment(&amqp, None);
        set(&mut env);
        let mut processes = vec![Process::start(
            instances,
            "simulator",
            "simulator",
            &[],
            ports["simulator"],
            &env,
        )?];
        let mut databases = BTreeMap::new();
        for name in SERVICES {
            let database = instances.database(&format!("bench_orders_{name}")).await?;
            migrate(name, &[], &database).await?;
            let mut env = environment(&amqp, Some(&database));
            set(&mut env);
            processes.push(Process::start(instances, name, name, &[], ports[name], &env)?);
            databases.insert(name, pool(&database)?);
        }
        for process in &processes {
            process.ready().await?;
        }
        sqlx::query("UPDATE product SET initial = initial + 10000000, free = free + 10000000")
            .execute(&databases["inventory"])
            .await?;
        let client = runtime::http_client::client()?;
        let customers = Customers {
            client: client.clone(),
            url: format!("{}/api/v1/orders", address("order")),
            offered: AtomicUsize::new(1),
            failing: AtomicUsize::new(0),
        };
        let workers: Vec<&Process> = processes[2..].iter().collect();
        let load = Load {
            offer: Arc::new(customers),
            journal: databases["orchestrator"].clone(),
            databases: databases.values().cloned().collect(),
            meter: Meter::new(instances, &[&processes[1]], &workers)?,
            metrics: format!("{}/metrics", address("orchestrator")),
            client,
        };
        let simulator = address("simulator");
        Ok(Orders { load, databases, simulator, _processes: processes })
    }

    /// Every order has ended, and shelf, gateway and carrier agree with the journal.
    pub async fn verify(&self) -> Result<()> {
        let count = async |database: &str, statement: &'static str| -> Result<i64> {
            Ok(sqlx::query_scalar(statement).fetch_one(&self.databases[database]).await?)
        };
        let all = i64::try_from(self.load.offer.offered.load(Ordering::Relaxed) - 1)?;
        let sagas = "SELECT count(*) FROM saga";
        ensure!(count("orchestrator", sagas).await? == all, "not every order has a saga");
        let completed =
            count("orchestrator", "SELECT count(*) FROM saga WHERE state = 'completed'").await?;
        let compensated =
            count("orchestrator", "SELECT count(*) FROM saga WHERE state = 'compensated'").await?;
        ensure!(completed + compensated == all, "{all} orders, not all of them have ended");
        let books = [
            ("order", "SELECT count(*) FROM orders WHERE status = 'confirmed'", completed),
            ("order", "SELECT count(*) FROM orders WHERE status = 'cancelled'", compensated),
            ("order", "SELECT count(*) FROM outbox", 0),
            ("inventory", "SELECT count(*) FROM hold WHERE status = 'shipped'", completed),
            ("inventory", "SELECT count(*) FROM hold WHERE status = 'released'", compensated),
            ("inventory", "SELECT sum(reserved)::bigint FROM product", 0),
            ("inventory", "SELECT sum(shipped)::bigint FROM product", completed),
        ];
        for (database, statement, expected) in books {
            let found = count(database, statement).await?;
            ensure!(found == expected, "{database}: {statement}: {found} instead of {expected}");
        }
        let ledger: Value = self
            .load
            .client
            .get(format!("{}/admin/ledger", self.simulator))
            .send()
            .await?
            .error_for_status()?
            .json()
            .await?;
        let with = |kind: &str, status: &str| {
            let records = ledger[kind].as_array().into_iter().flatten();
            records.filter(|record| record["status"] == status).count()
        };
        let completed = usize::try_from(completed)?;
        ensure!(with("authorisations", "captured") == completed, "not every order is paid once");
        ensure!(with("authorisations", "authorised") == 0, "authorisations are left open");
        ensure!(with("shipments", "booked") == completed, "not every order has one parcel");
        Ok(())
    }
}
