//! Dead letters of the real system, to their end, with the auditor looking on.

use anyhow::{Context, Result, ensure};
use contracts::SagaId;
use futures_util::future::try_join_all;
use reqwest::Method;
use runtime::config::Redacted;
use sagactl::audit::{self, Options, SERVICES, Sources};
use serde_json::{Value, json};
use std::{path::PathBuf, time::Duration};
use testkit::{Instances, PATIENCE, Stack, With, eventually};
use uuid::Uuid;

const NOTIFY: &str = "notification.notify-customer";
/// Orders that die, unless `LETTERS` says otherwise: a thousand take some minutes.
const LETTERS: usize = 200;
/// For a thousand orders on a busy machine.
const LONG: Duration = Duration::from_secs(400);

/// A stack whose customers cannot be told, until [`heal`](Ailing::heal): each order becomes a dead
/// letter and parks.
struct Ailing {
    stack: Stack,
    failpoints: PathBuf,
}

impl Ailing {
    async fn start() -> Result<Ailing> {
        let mut stack = Stack::start(&[
            With::Env("orchestrator", "SAGA_STEP_ATTEMPTS", "1"),
            With::Env("orchestrator", "SAGA_STEP_TIMEOUT", "600"),
            With::Stopped("notification"),
        ])
        .await?;
        let folder =
            std::env::var("INSTANCES_DIR").context("run this in scripts/with-instances")?;
        let failpoints = PathBuf::from(folder).join(format!("letters-{}", Uuid::new_v4().simple()));
        std::fs::write(&failpoints, format!("1 worker.handle {NOTIFY} * fault\n"))?;
        let file = failpoints.to_string_lossy().into_owned();
        stack.set_env("notification", "FAILPOINTS_FILE", &file)?;
        stack.restart("notification").await?;
        Ok(Ailing { stack, failpoints })
    }

    fn heal(&self) -> Result<()> {
        Ok(std::fs::write(&self.failpoints, "")?)
    }

    async fn orders(&self, count: usize) -> Result<Vec<SagaId>> {
        let mut orders = Vec::new();
        while orders.len() < count {
            let some = (count - orders.len()).min(8);
            orders.extend(try_join_all((0..some).map(|_| self.order())).await?);
        }
        Ok(orders)
    }

    /// However busy the machine is.
    async fn order(&self) -> Result<SagaId> {
        let key = Uuid::new_v4().to_string();
        let order = json!({
            "customer_id": "cust_123", "items": [{ "product_id": "prod_001", "quantity": 1 }],
        });
        eventually(PATIENCE, "the order to be taken", async || {
            let request = self.stack.request(Method::POST, "order", "/api/v1/orders")?;
            let answer = request.header("idempotency-key", &key).json(&order).send().await?;
            let status = answer.status();
            let said: Value = answer.json().await?;
            ensure!(status.as_u16() == 202, "{status}: {said}");
            Ok(said["order_id"].as_str().context("no order_id")?.parse()?)
        })
        .await
    }

    /// Until so many orders have died and parked.
    async fn dead(&self, count: usize) -> Result<()> {
        self.letters("open", count).await?;
        eventually(LONG, "every saga to park", async || {
            let parked = self.number("SELECT count(*) FROM saga WHERE parked IS NOT NULL").await?;
            ensure!(parked == count as i64, "{parked} are parked");
            Ok(())
        })
        .await
    }

    async fn letters(&self, state: &'static str, count: usize) -> Result<()> {
        eventually(LONG, &format!("{count} letters to be {state}"), async || {
            let found: i64 =
                sqlx::query_scalar("SELECT count(*) FROM dead_letter WHERE state = $1")
                    .bind(state)
                    .fetch_one(self.stack.database("orchestrator")?.pool())
                    .await?;
            ensure!(found == count as i64, "{found} are");
            Ok(())
        })
        .await
    }

    async fn number(&self, sql: &'static str) -> Result<i64> {
        let pool = self.stack.database("orchestrator")?.pool();
        Ok(sqlx::query_scalar(sql).fetch_one(pool).await?)
    }

    async fn post(&self, path: &str, body: Value) -> Result<Value> {
        let path = format!("/api/v1/{path}");
        let request = self.stack.request(Method::POST, "orchestrator", &path)?;
        let answer = request.json(&body).send().await?;
        let status = answer.status();
        let said: Value = answer.json().await?;
        ensure!(status.is_success(), "{path} answered {status}: {said}");
        Ok(said)
    }

    async fn replay(&self, filter: Value) -> Result<Value> {
        let body =
            json!({ "filter": filter, "reason": "customers can be told again", "by": "ada" });
        self.post("dead-letters/bulk/replay", body).await
    }

    async fn progress(&self, replay: &Value) -> Result<Value> {
        let id = replay["replay_id"].as_str().context("no replay_id")?;
        self.stack.get("orchestrator", &format!("/api/v1/dead-letters/replays/{id}")).await
    }

    async fn over(&self, replay: &Value) -> Result<Value> {
        eventually(LONG, "the replay to be over", async || {
            let progress = self.progress(replay).await?;
            ensure!(progress["state"] != "running", "{progress}");
            Ok(progress)
        })
        .await
    }

    async fn is_clean(&self) -> Result<()> {
        self.stack.assert_conserved().await?;
        let instances = Instances::shared()?;
        let mut sources = Sources::none()?
            .with_simulator(Redacted::new(self.stack.url("simulator", "")?))
            .with_broker(Redacted::new(instances.management.as_str()), self.stack.vhost().name());
        for service in SERVICES {
            let url = Redacted::new(self.stack.database(service)?.url());
            sources = sources.with_database(service, url);
        }
        let options = Options { attempts: Some(1), ..Options::default() };
        let report = audit::run(&sources, &options).await?;
        ensure!(report.clean && report.not_audited.is_empty(), "{}", report.table(false));
        Ok(())
    }
}

impl Drop for Ailing {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.failpoints);
        let _ = std::fs::remove_file(self.failpoints.with_extension("1"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_orders_that_died_of_one_cause_are_brought_to_their_end_once() -> Result<()> {
    let count = match std::env::var("LETTERS") {
        Ok(count) => count.parse().context("LETTERS is a number")?,
        Err(_) => LETTERS,
    };
    let mut ailing = Ailing::start().await?;
    let orders = ailing.orders(count).await?;
    ailing.dead(count).await?;
    let groups = ailing.stack.get("orchestrator", "/api/v1/dead-letters/groups").await?;
    let group = &groups["items"][0];
    ensure!(group["open"] == count && groups["items"].as_array().map_or(0, Vec::len) == 1);
    ailing.heal()?;
    // Half of them get there without their letters.
    let (resumed, _) = orders.split_at(count / 2);
    for some in resumed.chunks(20) {
        let ailing = &ailing;
        let resume = |id| async move {
            let why = json!({ "reason": "asked again" });
            ailing.post(&format!("sagas/{id}/resume"), why).await
        };
        try_join_all(some.iter().map(resume)).await?;
    }
    eventually(LONG, "the resumed ones to end", async || {
        let ended = ailing.number("SELECT count(*) FROM saga WHERE ended_at IS NOT NULL").await?;
        ensure!(ended == (count / 2) as i64, "{ended} have ended");
        Ok(())
    })
    .await?;

    let filter = json!({ "fingerprint": group["fingerprint"] });
    let replay = ailing.replay(filter.clone()).await?;
    ensure!(replay["matched"] == count && replay["stale"] == count / 2, "{replay}");
    eventually(PATIENCE, "some to be replayed", async || {
        let progress = ailing.progress(&replay).await?;
        ensure!(progress["replayed"].as_i64().unwrap_or_default() >= 8, "{progress}");
        Ok(())
    })
    .await?;
    // Whoever comes next goes on.
    ailing.stack.kill9("orchestrator").await?;
    ailing.stack.restart("orchestrator").await?;
    let over = ailing.over(&replay).await?;
    let half = count / 2;
    ensure!(
        over["state"] == "done" && over["replayed"] == half && over["refused"] == half,
        "{over}"
    );
    let again = ailing.replay(filter).await?;
    ensure!(again["matched"] == 0, "{again}");

    let completed = "SELECT count(*) FROM saga WHERE state = 'completed'";
    ensure!(ailing.number(completed).await? == count as i64, "each saga is completed");
    let told: (i64, i64) =
        sqlx::query_as("SELECT count(*), count(DISTINCT order_id) FROM notification")
            .fetch_one(ailing.stack.database("notification")?.pool())
            .await?;
    ensure!(told == (count as i64, count as i64), "each customer is told once: {told:?}");
    ailing.is_clean().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_happens_once_wherever_its_orchestrator_is_killed() -> Result<()> {
    let mut ailing = Ailing::start().await?;
    ailing.stack.set_env("orchestrator", "FAILPOINTS", "orchestrator.letters-stored=kill")?;
    ailing.stack.restart("orchestrator").await?;
    ailing.orders(1).await?;
    ailing.stack.wait_exit("orchestrator", PATIENCE).await?;
    ailing.stack.set_env("orchestrator", "FAILPOINTS", "")?;
    ailing.stack.restart("orchestrator").await?;
    ailing.letters("open", 1).await?;
    ailing.orders(3).await?;
    ailing.dead(4).await?;
    ailing.heal()?;
    let mut replayed = 0;
    for point in ["rung-begun", "letters-claimed", "letters-replayed"] {
        let kill = format!("orchestrator.{point}=kill");
        ailing.stack.set_env("orchestrator", "FAILPOINTS", &kill)?;
        ailing.stack.restart("orchestrator").await?;
        let all = ailing.stack.get("orchestrator", "/api/v1/dead-letters?state=open").await?;
        let saga = all["items"][0]["saga_id"].clone();
        let replay = ailing.replay(json!({ "saga_id": saga })).await?;
        ailing.stack.wait_exit("orchestrator", PATIENCE).await?;
        // Claims would run out by themselves.
        for lapse in [
            "UPDATE dead_letter SET claimed_until = now() WHERE claimed_until IS NOT NULL",
            "UPDATE dead_letter_replay SET claimed_until = now()",
        ] {
            sqlx::query(lapse).execute(ailing.stack.database("orchestrator")?.pool()).await?;
        }
        ailing.stack.set_env("orchestrator", "FAILPOINTS", "")?;
        ailing.stack.restart("orchestrator").await?;
        let over = ailing.over(&replay).await?;
        ensure!(over["state"] == "done" && over["replayed"] == 1, "{point}: {over}");
        replayed += 1;
        ailing.letters("replayed", replayed).await?;
    }
    let last = ailing.stack.get("orchestrator", "/api/v1/dead-letters?state=open").await?;
    let id = last["items"][0]["dead_letter_id"].as_str().context("one is left")?.to_owned();
    let shown = ailing.stack.get("orchestrator", &format!("/api/v1/dead-letters/{id}")).await?;
    ensure!(shown["stale"].is_null() && shown["saga"]["state"] == "running", "{shown}");
    ensure!(shown["body"]["customer_id"] == "cust_123", "{shown}");
    let why = json!({ "reason": "customers can be told again" });
    ailing.post(&format!("dead-letters/{id}/replay"), why).await?;
    ailing.letters("replayed", 4).await?;
    let deaths = ailing.number("SELECT sum(deaths)::bigint FROM dead_letter").await?;
    ensure!(deaths == 4, "{deaths} deaths of 4 letters");
    ailing.is_clean().await
}
