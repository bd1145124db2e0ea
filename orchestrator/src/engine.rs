//! Takes a batch of occurrences, lets the core decide on each, and stores the outcome, all in one
//! transaction. What has to be sent is returned to the caller, who sends it after the commit and
//! acknowledges the occurrences only when it is confirmed.

use crate::{
    audit,
    desk::Desk,
    journal,
    operator::{Ask, Unacceptable},
    record::Record,
    replay,
};
use contracts::{CommandEnvelope, ReplyEnvelope, SagaId, StartEnvelope};
use runtime::failpoint::{self, Instead};
use saga_core::{Catalogue, Ignored};
use sqlx::{Connection, PgConnection, PgPool};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};
use store::Lanes;
use time::OffsetDateTime;
use uuid::Uuid;

/// A transaction that was unlucky (deadlock, serialisation) is done again this often.
const TRIES: u32 = 5;
/// For one transaction, well beyond what its statements are allowed together with the server: a
/// database that neither answers nor hangs up is away.
const LIMIT: Duration = Duration::from_secs(20);

/// Something that concerns one saga.
#[derive(Clone, Debug)]
pub enum Occurrence {
    Start(StartEnvelope),
    Reply(ReplyEnvelope),
    /// A reply that was handed out before, by the broker's word: whoever had it may have died
    /// before what followed from it was sent.
    ReplyAgain(ReplyEnvelope),
    /// Its wake-up time has come.
    Wake(SagaId),
    /// An operator wants something of it.
    Ask(Ask),
}

impl Occurrence {
    pub fn saga(&self) -> SagaId {
        match self {
            Occurrence::Start(start) => start.saga,
            Occurrence::Reply(reply) | Occurrence::ReplyAgain(reply) => reply.saga,
            Occurrence::Wake(saga) => *saga,
            Occurrence::Ask(ask) => ask.saga,
        }
    }
}

/// What became of an occurrence.
#[derive(Debug)]
pub enum Verdict {
    Started,
    Moved,
    /// A start of a saga that exists.
    AlreadyStarted,
    Ignored(Ignored),
    UnknownSaga,
    /// Nobody here drives this definition (in this version).
    UnknownDefinition(String),
    /// The payload does not fit its type, or the reply does not fit its saga.
    Misfit(String),
    /// The database would not have it (a value that no column can hold).
    Unstorable(String),
    /// An operator's verb that names what is not there, or brings a value of the wrong shape.
    Unacceptable(Unacceptable),
}

/// A batch that is stored.
#[derive(Debug, Default)]
pub struct Advanced {
    /// One per occurrence, in their order.
    pub verdicts: Vec<Verdict>,
    /// To be sent now.
    pub commands: Vec<CommandEnvelope>,
    /// The `traceparent` of each occurrence's saga, in their order; none at all when traces are off.
    pub traces: Vec<Option<String>>,
}

/// What would have happened.
pub struct Rehearsed {
    /// One per occurrence, in their order.
    pub verdicts: Vec<Verdict>,
    /// What would be sent.
    pub commands: Vec<CommandEnvelope>,
    /// The sagas as they would be, as far as this build can read them.
    pub records: BTreeMap<SagaId, Record>,
}

/// Runs transitions against the journal. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub pool: PgPool,
    /// For transitions.
    pub lanes: Lanes,
    pub catalogue: Arc<Catalogue>,
}

impl Engine {
    /// With the connections of one pool for everything.
    pub fn over(pool: PgPool, catalogue: Arc<Catalogue>) -> Self {
        Engine { lanes: Lanes::over(pool.clone()), pool, catalogue }
    }

    /// Advances the sagas that the batch speaks of. An error means that nothing was stored.
    pub async fn advance(&self, batch: &[Occurrence]) -> Result<Advanced, sqlx::Error> {
        let mut tries = 0;
        loop {
            tries += 1;
            match store::within(LIMIT, self.transact(batch)).await {
                Err(error) if store::is_retriable(&error) && tries < TRIES => {
                    tracing::debug!(%error, "journal transaction again");
                }
                Err(error) if store::is_infrastructure(&error) || store::is_retriable(&error) => {
                    return Err(error);
                }
                // One occurrence that the database refuses must not hold up the others.
                Err(error) => return self.one_by_one(batch, error).await,
                Ok(advanced) => return Ok(advanced),
            }
        }
    }

    /// What would become of occurrences, if they happened now: nothing is stored or locked.
    pub async fn rehearse(&self, batch: &[Occurrence]) -> Result<Rehearsed, sqlx::Error> {
        let sagas: Vec<Uuid> = batch.iter().map(|one| one.saga().0).collect();
        let mut desk = Desk::new(&self.catalogue, OffsetDateTime::now_utc());
        desk.take_known(replay::rows(&self.pool, &sagas).await?);
        let verdicts = batch.iter().map(|one| desk.decide(one)).collect();
        let commands = desk.commands();
        Ok(Rehearsed { verdicts, commands, records: desk.records })
    }

    async fn one_by_one(
        &self,
        batch: &[Occurrence],
        error: sqlx::Error,
    ) -> Result<Advanced, sqlx::Error> {
        if batch.len() <= 1 {
            let verdicts = batch.iter().map(|_| Verdict::Unstorable(error.to_string())).collect();
            return Ok(Advanced { verdicts, ..Advanced::default() });
        }
        let mut all = Advanced::default();
        for occurrence in batch {
            let one = Box::pin(self.advance(std::slice::from_ref(occurrence))).await?;
            all.verdicts.extend(one.verdicts);
            all.commands.extend(one.commands);
            // One for each, so that those after one that was refused keep their places.
            all.traces.push(one.traces.into_iter().next().flatten());
        }
        Ok(all)
    }

    /// Every saga that the batch speaks of, locked or new.
    async fn lay_out(
        &self,
        tx: &mut PgConnection,
        batch: &[Occurrence],
    ) -> Result<Desk<'_>, sqlx::Error> {
        let mut known: BTreeSet<Uuid> = batch.iter().map(|one| one.saga().0).collect();
        let mut desk;
        let locked;
        if batch.iter().any(|one| matches!(one, Occurrence::Start(_))) {
            desk = Desk::new(&self.catalogue, journal::now(tx).await?);
            let starting = desk.prepare_starts(batch);
            let records: Vec<&Record> = starting.values().collect();
            let new = journal::insert(tx, &records).await?;
            known.retain(|saga| !new.contains(saga));
            desk.take_new(starting, new.into_iter().map(SagaId).collect());
            locked = journal::lock(tx, known).await?;
        } else {
            locked = journal::lock(tx, known).await?;
            let now = match locked.last() {
                Some(last) => last.now,
                None => journal::now(tx).await?,
            };
            desk = Desk::new(&self.catalogue, now);
        }
        desk.take_known(locked.into_iter().map(|locked| locked.row));
        Ok(desk)
    }

    async fn transact(&self, batch: &[Occurrence]) -> Result<Advanced, sqlx::Error> {
        let begun = Instant::now();
        let mut lane = self.lanes.take().await?;
        let mut tx = lane.begin().await?;
        let mut desk = self.lay_out(&mut tx, batch).await?;
        let now = desk.now;
        let verdicts: Vec<_> = batch.iter().map(|one| desk.decide(one)).collect();

        let moved: Vec<&Record> =
            desk.moved.iter().filter_map(|saga| desk.records.get(saga)).collect();
        journal::update(&mut tx, &moved, &desk.lines, now).await?;
        audit::add(&mut tx, &desk.actions(batch, &verdicts)).await?;
        reach("orchestrator.before-commit", batch).await;
        tx.commit().await?;
        lane.keep();
        reach("orchestrator.after-commit", batch).await;

        metrics::histogram!("journal_commit_seconds").record(begun.elapsed());
        metrics::histogram!("journal_batch_size").record(batch.len() as f64);
        let (commands, traces) = (desk.commands(), desk.traces(batch));
        desk.tell();
        Ok(Advanced { verdicts, commands, traces })
    }
}

/// Failpoints, by the kind of what is handled.
pub(crate) async fn reach(name: &str, batch: &[Occurrence]) {
    if cfg!(debug_assertions) {
        for occurrence in batch {
            hit(name, occurrence).await;
        }
    }
}

async fn hit(name: &str, occurrence: &Occurrence) -> Option<Instead> {
    let kind = match occurrence {
        Occurrence::Start(_) => "start",
        Occurrence::Reply(reply) | Occurrence::ReplyAgain(reply) => &reply.kind,
        Occurrence::Wake(_) => "wake",
        Occurrence::Ask(ask) => ask.wanted.as_str(),
    };
    failpoint::hit_for(name, kind, occurrence.saga()).await
}

/// Whether a failpoint has lost it on its way.
pub(crate) async fn is_lost(occurrence: &Occurrence) -> bool {
    hit("orchestrator.received", occurrence).await == Some(Instead::Lose)
}
