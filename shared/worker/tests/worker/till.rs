//! A service whose effects are outside its database: money that is set aside with a gateway.

use contracts::{Command, Never, SagaId};
use runtime::resilience::{Breaker, BreakerPolicy};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};
use testkit::ScratchDb;
use tokio::sync::Semaphore;
use worker::{
    CallKey, Called, Fault, ManyTx, NotDone, NotDone::Refused, Outcome, Outside, Replied, Tx,
    Worker, testing::Bench,
};

pub(crate) const STEP: &str = "authorise";
/// An amount that is written down, and then faults.
pub(crate) const FORGOTTEN: i64 = 14;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Authorise {
    pub(crate) amount: i64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Void {}

impl Command for Authorise {
    const TYPE: &'static str = "till.authorise";
    type Reply = ();
    type Refusal = String;
}

impl Command for Void {
    const TYPE: &'static str = "till.void";
    type Reply = ();
    type Refusal = Never;
}

/// Keyed by idempotency key. A voided key stays voided, whether or not it was known before.
#[derive(Default)]
pub(crate) struct Gateway {
    authorised: Mutex<BTreeMap<String, Option<i64>>>,
    pub(crate) keys: Mutex<Vec<String>>,
    /// Calls yet to fail before they have an effect.
    pub(crate) failing: AtomicU32,
    /// Calls yet to have their effect and then fail.
    pub(crate) forgetful: AtomicU32,
    /// Authorisations halt here: before their effect, after it.
    pub(crate) before: Gate,
    pub(crate) after: Gate,
}

/// Open until it is shut.
pub(crate) struct Gate {
    shut: AtomicBool,
    pub(crate) waiting: AtomicU32,
    opened: Semaphore,
}

impl Default for Gate {
    fn default() -> Self {
        Gate { shut: false.into(), waiting: 0.into(), opened: Semaphore::new(0) }
    }
}

impl Gate {
    pub(crate) fn shut(&self) {
        self.shut.store(true, SeqCst);
    }

    pub(crate) fn open(&self) {
        self.shut.store(false, SeqCst);
        self.opened.close();
    }

    async fn pass(&self) {
        if self.shut.load(SeqCst) {
            self.waiting.fetch_add(1, SeqCst);
            let _ = self.opened.acquire().await;
        }
    }
}

impl Gateway {
    /// What customers cannot spend just now.
    pub(crate) fn set_aside(&self) -> i64 {
        self.authorised.lock().unwrap().values().flatten().sum()
    }

    fn take_one(counter: &AtomicU32) -> bool {
        counter.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok()
    }

    /// `false` when the key was voided.
    async fn authorise(&self, key: &str, amount: i64) -> Result<bool, Fault> {
        self.keys.lock().unwrap().push(key.to_owned());
        self.before.pass().await;
        if Self::take_one(&self.failing) {
            return Err(Fault::transient("503"));
        }
        let authorised =
            self.authorised.lock().unwrap().entry(key.to_owned()).or_insert(Some(amount)).is_some();
        self.after.pass().await;
        match Self::take_one(&self.forgetful) {
            true => Err(Fault::transient("connection reset")),
            false => Ok(authorised),
        }
    }

    fn void(&self, key: &str) -> Result<(), Fault> {
        if Self::take_one(&self.failing) {
            return Err(Fault::transient("503"));
        }
        self.authorised.lock().unwrap().insert(key.to_owned(), None);
        Ok(())
    }
}

pub(crate) struct Till {
    pub(crate) gateway: Gateway,
    pub(crate) prepared: AtomicU32,
    /// Authorisations that were prepared, and recorded, at one go with others.
    pub(crate) at_one_go: [AtomicU32; 2],
    pub(crate) breaker: Breaker,
}

impl Default for Till {
    fn default() -> Self {
        let policy = BreakerPolicy {
            failures: 2,
            open_first: Duration::from_millis(20),
            open_max: Duration::from_millis(50),
        };
        Till {
            gateway: Gateway::default(),
            prepared: AtomicU32::new(0),
            at_one_go: [AtomicU32::new(0), AtomicU32::new(0)],
            breaker: Breaker::new("gateway", policy),
        }
    }
}

impl Outside<Authorise> for Till {
    type Intent = i64;
    type Answer = bool;

    async fn prepare(&self, _: &mut Tx<'_>, command: &Authorise) -> Result<i64, NotDone<String>> {
        self.prepared.fetch_add(1, SeqCst);
        match command.amount {
            ..=0 => Err(Refused("nothing to pay".to_owned())),
            amount => Ok(amount),
        }
    }

    async fn call(&self, amount: &i64, key: &CallKey) -> Result<bool, Fault> {
        assert_eq!(key.own, key.action);
        self.gateway.authorise(&key.own, *amount).await
    }

    async fn record(
        &self,
        tx: &mut Tx<'_>,
        _: Authorise,
        amount: i64,
        authorised: bool,
    ) -> Outcome<Authorise> {
        let saga = tx.saga();
        sqlx::query("INSERT INTO payment VALUES ($1, $2)")
            .bind(saga.0)
            .bind(amount)
            .execute(tx.sql())
            .await?;
        match (authorised, amount) {
            (false, _) | (true, 13) => Err(Refused("declined".to_owned())),
            (true, FORGOTTEN) => Err(Fault::permanent("written and then forgotten").into()),
            (true, _) => Ok(()),
        }
    }

    async fn prepare_many(
        &self,
        _: &mut ManyTx<'_>,
        commands: &[(SagaId, Authorise)],
    ) -> Result<Option<Vec<i64>>, Fault> {
        if commands.iter().any(|(_, command)| command.amount <= 0) {
            return Ok(None);
        }
        self.at_one_go[0].fetch_add(u32::try_from(commands.len()).unwrap(), SeqCst);
        Ok(Some(commands.iter().map(|(_, command)| command.amount).collect()))
    }

    async fn record_many(
        &self,
        tx: &mut ManyTx<'_>,
        called: &[Called<Authorise, i64, bool>],
    ) -> Result<Option<Vec<Replied<Authorise>>>, Fault> {
        sqlx::query("INSERT INTO payment SELECT * FROM unnest($1::uuid[], $2::bigint[])")
            .bind(called.iter().map(|it| it.saga.0).collect::<Vec<_>>())
            .bind(called.iter().map(|it| it.intent).collect::<Vec<_>>())
            .execute(tx.sql())
            .await?;
        if called.iter().any(|it| it.intent == FORGOTTEN) {
            return Err(Fault::permanent("written and then forgotten"));
        }
        self.at_one_go[1].fetch_add(u32::try_from(called.len()).unwrap(), SeqCst);
        let said = |it: &Called<_, i64, bool>| match (it.answer, it.intent) {
            (false, _) | (true, 13) => Err("declined".to_owned()),
            (true, _) => Ok(()),
        };
        Ok(Some(called.iter().map(said).collect()))
    }

    fn breaker(&self) -> &Breaker {
        &self.breaker
    }
}

impl Outside<Void> for Till {
    type Intent = ();
    type Answer = ();

    async fn prepare(&self, _: &mut Tx<'_>, _: &Void) -> Result<(), NotDone<Never>> {
        Ok(())
    }

    async fn call(&self, (): &(), key: &CallKey) -> Result<(), Fault> {
        self.gateway.void(&key.action)
    }

    async fn record(&self, tx: &mut Tx<'_>, _: Void, (): (), (): ()) -> Outcome<Void> {
        let saga = tx.saga();
        sqlx::query("DELETE FROM payment WHERE saga_id = $1")
            .bind(saga.0)
            .execute(tx.sql())
            .await?;
        Ok(())
    }

    fn breaker(&self) -> &Breaker {
        &self.breaker
    }
}

pub(crate) fn worker() -> Worker<Till> {
    Worker::new("till", Till::default()).pair_outside::<Authorise, Void>()
}

pub(crate) async fn database() -> anyhow::Result<ScratchDb> {
    let database = ScratchDb::empty().await?;
    sqlx::raw_sql(store::PARTICIPANT_SQL).execute(database.pool()).await?;
    sqlx::raw_sql("CREATE TABLE payment (saga_id uuid PRIMARY KEY, amount bigint NOT NULL)")
        .execute(database.pool())
        .await?;
    Ok(database)
}

pub(crate) async fn bench() -> anyhow::Result<(ScratchDb, Bench<Till>)> {
    let database = database().await?;
    let bench = Bench::of(worker(), database.pool().clone());
    Ok((database, bench))
}

pub(crate) async fn recorded(pool: &PgPool) -> anyhow::Result<i64> {
    Ok(sqlx::query_scalar("SELECT count(*) FROM payment").fetch_one(pool).await?)
}
