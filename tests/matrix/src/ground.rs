//! The whole system on the real broker and database, alive for all cells: what dies is started
//! again, and every message passes by.

use crate::{armed::Armed, armed::Switch, routes::Routes, tap::Tap};
use anyhow::{Context, Result, ensure};
use contracts::SagaId;
use messaging::{Amqp, Outgoing, Publisher};
use reqwest::{Client, Method, StatusCode, Url};
use runtime::{config::Redacted, health::Health, sabotage::Safety, shutdown::Shutdown};
use serde_json::{Value, json};
use sqlx::PgPool;
use std::{
    collections::BTreeMap,
    env, fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use testkit::{Proxy, SERVICES, Stack, With, eventually};
use tokio::{
    sync::Mutex,
    task::JoinHandle,
    time::{sleep, timeout},
};
use uuid::Uuid;

/// Of every leg. The second one proves that a silence is not the end.
pub const ATTEMPTS: u64 = 2;
/// Longer than any cell: whatever is lost by a defect is missed, and not made good by a wake-up.
const STEP_TIMEOUT: &str = "600";
const BETWEEN: Duration = Duration::from_millis(30);
const ADMIN: Duration = Duration::from_secs(10);

/// Participants of the order saga.
pub const PARTICIPANTS: [&str; 5] = ["order", "inventory", "payment", "shipping", "notification"];

pub struct Ground {
    pub armed: Armed,
    pub tap: Tap,
    pub routes: Routes,
    /// How long a cell waits for anything.
    pub patience: Duration,
    /// Held by the one cell that looks at who waits for whom in the journal's database.
    pub window: Mutex<()>,
    stack: Arc<Mutex<Stack>>,
    keeper: JoinHandle<()>,
    deaths: Arc<AtomicU64>,
    urls: BTreeMap<&'static str, Url>,
    pools: BTreeMap<&'static str, PgPool>,
    proxies: BTreeMap<&'static str, Proxy>,
    publisher: Publisher,
    http: Client,
    /// One order at a time is being placed.
    gate: Mutex<()>,
    shutdown: Shutdown,
    vhost: String,
    folder: PathBuf,
}

/// A failpoint to arm for an order: place, command, action.
pub type Arm<'a> = (&'a str, &'a str, &'a str);

impl Ground {
    /// With a safety switched off, if so wanted.
    pub async fn start(sabotage: Option<Safety>, patience: Duration) -> Result<Self> {
        let instances = env::var_os("INSTANCES_DIR").map(PathBuf::from);
        let instances = instances.context("run this through scripts/with-instances")?;
        let folder = instances.join(format!("matrix-{}", Uuid::new_v4().simple()));
        fs::create_dir_all(&folder)?;
        let armed = Armed::new(&folder)?;
        let mut stack = Stack::start(&[With::Only(&["simulator"])]).await?;
        let broker = Url::parse(stack.amqp_url())?;
        let broker = format!(
            "{}:{}",
            broker.host_str().context("the broker has no host")?,
            broker.port().unwrap_or(5672)
        );
        let (mut urls, mut pools, mut proxies) =
            (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let file = armed.file().to_string_lossy().into_owned();
        for service in SERVICES {
            let proxy = Proxy::start(broker.clone()).await?;
            let mut amqp = Url::parse(&stack.vhost().url_of(service)?)?;
            let set =
                amqp.set_host(Some("127.0.0.1")).is_ok() && amqp.set_port(Some(proxy.port)).is_ok();
            ensure!(set, "the broker's URL takes no port");
            let variables = [
                ("AMQP_URL", amqp.as_str()),
                ("FAILPOINTS_FILE", &file),
                ("SABOTAGE", sabotage.map_or("", Safety::as_str)),
                ("SAGA_STEP_TIMEOUT", STEP_TIMEOUT),
                ("SAGA_STEP_ATTEMPTS", &ATTEMPTS.to_string()),
            ];
            for (variable, value) in variables {
                stack.set_env(service, variable, value)?;
            }
            stack.launch(service)?;
            urls.insert(service, Url::parse(&stack.url(service, "/")?)?);
            pools.insert(service, stack.database(service)?.pool().clone());
            proxies.insert(service, proxy);
        }
        urls.insert("simulator", Url::parse(&stack.url("simulator", "/")?)?);
        stack.wait_all_ready().await?;

        let vhost = stack.vhost().name().to_owned();
        let management = env::var("RABBITMQ_MANAGEMENT_URL")?;
        let routes = Routes::new(&management, &vhost)?;
        let amqp = Amqp::new(Redacted::new(stack.amqp_url()), "matrix")?;
        let tap = Tap::start(&amqp, &routes, &PARTICIPANTS).await?;
        let shutdown = Shutdown::manual();
        let publisher = Publisher::start(&amqp, Health::new().part("publisher"), &shutdown);
        let stack = Arc::new(Mutex::new(stack));
        let deaths = Arc::new(AtomicU64::new(0));
        let keeper = tokio::spawn(keep(Arc::clone(&stack), Arc::clone(&deaths)));
        Ok(Ground {
            armed,
            tap,
            routes,
            patience,
            window: Mutex::new(()),
            stack,
            keeper,
            deaths,
            urls,
            pools,
            proxies,
            publisher,
            http: runtime::http_client::client()?,
            gate: Mutex::new(()),
            shutdown,
            vhost,
            folder,
        })
    }

    /// Stops and removes everything.
    pub async fn close(self) {
        self.keeper.abort();
        let _ = self.keeper.await;
        self.publisher.close().await;
        drop(self.stack);
        let _ = fs::remove_dir_all(&self.folder);
    }

    /// Places an order, with failpoints for it alone that are armed before its saga starts.
    pub async fn place(&self, order: &Value, arms: &[Arm<'_>]) -> Result<(SagaId, Vec<Switch>)> {
        let _turn = self.gate.lock().await;
        let gate = self.armed.arm("orchestrator.received", "start", "*", "hold")?;
        let id = self.submit(order).await?;
        let saga = id.to_string();
        let arm =
            |&(place, command, action): &Arm<'_>| self.armed.arm(place, command, &saga, action);
        let switches = arms.iter().map(arm).collect::<Result<_>>()?;
        drop(gate);
        Ok((id, switches))
    }

    /// Again and again under one key, as the order service may be dead at the moment.
    async fn submit(&self, order: &Value) -> Result<SagaId> {
        let key = Uuid::new_v4().to_string();
        let url = self.urls["order"].join("/api/v1/orders")?;
        eventually(self.patience, "an order to be accepted", async || {
            let request = self.http.post(url.clone()).header("idempotency-key", &key).json(order);
            let answer = request.send().await?;
            let status = answer.status();
            let body: Value = answer.json().await?;
            ensure!(!status.is_server_error(), "{status}: {body}");
            Ok((status, body))
        })
        .await
        .and_then(|(status, body)| {
            ensure!(status == StatusCode::ACCEPTED, "the order was answered with {status}: {body}");
            Ok(body["order_id"].as_str().context("no order_id")?.parse()?)
        })
    }

    pub async fn get(&self, service: &str, path: &str) -> Result<Value> {
        let url = self.urls.get(service).with_context(|| format!("no {service}"))?.join(path)?;
        let answer = self.http.get(url).send().await?;
        let status = answer.status();
        let body = answer.text().await?;
        ensure!(status.is_success(), "{service} answered {status}: {body}");
        Ok(serde_json::from_str(&body)?)
    }

    /// An operator's verb; what it answers besides.
    pub async fn post(&self, path: &str) -> Result<StatusCode> {
        let url = self.urls["orchestrator"].join(path)?;
        let request = self.http.request(Method::POST, url);
        Ok(request.json(&json!({ "reason": "matrix" })).send().await?.status())
    }

    pub async fn delete(&self, service: &str, path: &str) -> Result<()> {
        let url = self.urls[service].join(path)?;
        let status = self.http.delete(url).send().await?.status();
        ensure!(status.is_success(), "{service} answered {status}");
        Ok(())
    }

    pub async fn saga(&self, id: SagaId) -> Result<Value> {
        self.get("orchestrator", &format!("/api/v1/sagas/{id}")).await
    }

    /// The sum of a process's series of this name and key; 0 when there is none.
    pub async fn metric(&self, service: &str, name: &str, key: &str) -> Result<f64> {
        let answer = self.http.get(self.urls[service].join("/metrics")?).send().await?;
        let series = format!("{name}{{key=\"{key}\"}} ");
        let text = answer.error_for_status()?.text().await?;
        let values =
            text.lines().filter_map(|line| line.strip_prefix(&series)?.parse::<f64>().ok());
        Ok(values.fold(0.0, |sum, value| sum + value))
    }

    pub fn pool(&self, service: &str) -> &PgPool {
        &self.pools[service]
    }

    pub fn proxy(&self, service: &str) -> &Proxy {
        &self.proxies[service]
    }

    /// Returns when it is in its queue.
    pub async fn send(&self, message: Outgoing) -> Result<()> {
        let messages = [message];
        let sent = self.publisher.send_until_confirmed(&messages, &self.shutdown);
        timeout(ADMIN, sent).await.context("the broker confirms nothing")??;
        Ok(())
    }

    /// Until `check` answers, for as long as a cell is patient.
    pub async fn until<T>(&self, what: &str, check: impl AsyncFnMut() -> Result<T>) -> Result<T> {
        eventually(self.patience, what, check).await
    }

    /// Processes that have died so far.
    pub fn deaths(&self) -> u64 {
        self.deaths.load(Ordering::SeqCst)
    }

    /// What every process has logged.
    pub async fn logs(&self) -> Vec<(&'static str, String)> {
        let stack = self.stack.lock().await;
        SERVICES.iter().map(|name| (*name, stack.log(name).unwrap_or_default())).collect()
    }

    pub async fn timeline(&self, id: SagaId) -> String {
        self.stack.lock().await.timeline(id).await
    }

    /// Everybody's books against each other, once everything has come to rest.
    pub async fn conserved(&self) -> Result<()> {
        self.stack.lock().await.conserved_within(self.patience).await
    }

    /// Where an auditor finds the books.
    pub async fn books(&self) -> Result<Vec<(String, String)>> {
        let stack = self.stack.lock().await;
        let mut books = vec![
            ("SIMULATOR_URL".to_owned(), self.urls["simulator"].to_string()),
            ("RABBITMQ_VHOST".to_owned(), self.vhost.clone()),
            ("SAGA_STEP_ATTEMPTS".to_owned(), ATTEMPTS.to_string()),
        ];
        for service in SERVICES {
            let url = stack.database(service)?.url().to_owned();
            books.push((format!("AUDIT_{}_URL", service.to_uppercase()), url));
        }
        Ok(books)
    }
}

/// Starts again whatever has died.
async fn keep(stack: Arc<Mutex<Stack>>, deaths: Arc<AtomicU64>) {
    loop {
        sleep(BETWEEN).await;
        let mut stack = stack.lock().await;
        for service in SERVICES {
            if stack.is_running(service).is_ok_and(|running| !running) {
                deaths.fetch_add(1, Ordering::SeqCst);
                // It is not running still, then; the next round tries again.
                let _ = stack.launch(service);
            }
        }
    }
}
