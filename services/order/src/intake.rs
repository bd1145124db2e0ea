//! Taking orders in: the idempotency key, the order and the messages that set its saga going
//! commit together, so an accepted order is never lost, whether or not the broker is up. Those that
//! come at one time share a transaction: while one commits the next ones gather. Nobody waits for
//! company.

use contracts::{
    Currency, EventEnvelope, Leg, Money, SagaId, StartEnvelope, order::PlaceOrderInput,
};
use messaging::{
    Outgoing,
    spans::{About, Transaction},
};
use runtime::{
    http::FieldError,
    trace::{self, Context},
};
use sqlx::{PgConnection, PgPool};
use std::{collections::HashSet, sync::Arc};
use store::{
    inbox::{self, Claim, Key},
    outbox,
};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::{
    idempotency::{self, Use},
    order::{self, word},
    submission::{Accepted, PriceList, Submission},
};

/// The definition that an order's saga follows.
const DEFINITION: &str = "place-order";
/// Its step that takes an order into work.
const OPENING: &str = "open-order";
/// Submissions of one transaction.
const MOST: usize = 100;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the order breaks {} rules", .0.len())]
    Invalid(Vec<FieldError>),
    #[error("the idempotency key was used with another body")]
    KeyTaken,
    #[error("cannot write the order's messages")]
    Encode(#[from] serde_json::Error),
    /// Shared by all who were to be stored together.
    #[error("cannot store the order")]
    Storage(#[source] Arc<sqlx::Error>),
    #[error("no orders are taken in any more")]
    Closed,
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Error::Storage(Arc::new(error))
    }
}

/// An order taken in, now or when the same request came before.
#[derive(Debug)]
pub struct Receipt {
    pub order_id: Uuid,
    /// The JSON to answer with, byte for byte the same for the same key.
    pub response: String,
}

/// Where orders are taken in. Clones share it; it is closed when the last one is gone.
#[derive(Clone, Debug)]
pub struct Intake {
    pool: PgPool,
    counter: mpsc::Sender<Waiting>,
}

type Waiting = (Submitted, oneshot::Sender<Result<Taken, Error>>);

/// A submission on its way into the database.
#[derive(Clone, Debug)]
struct Submitted {
    id: Uuid,
    submission: Submission,
    response: String,
    /// With the canonical form of what was submitted under it.
    key: Option<(String, String)>,
    /// Of the request.
    context: Option<Context>,
}

/// What became of a submission.
#[derive(Debug)]
enum Taken {
    In,
    Invalid(Vec<FieldError>),
    /// Its key was used before.
    KeyUsed,
}

impl Intake {
    pub fn start(pool: PgPool) -> Self {
        let (counter, waiting) = mpsc::channel(MOST);
        tokio::spawn(serve(pool.clone(), waiting));
        Intake { pool, counter }
    }

    /// Stores the order. The caller nudges the outbox afterwards.
    pub async fn take(&self, key: Option<&str>, submission: Submission) -> Result<Receipt, Error> {
        let id = Uuid::now_v7();
        let response =
            serde_json::json!({ "order_id": id, "saga_id": id, "status": "pending" }).to_string();
        trace::note("saga.id", id);
        let canonical = serde_json::to_string(&submission)?;
        let key = key.map(|key| (key.to_owned(), canonical));
        let submitted = Submitted { id, submission, response, key, context: trace::current() };
        loop {
            match self.ask(submitted.clone()).await? {
                Taken::In => return Ok(Receipt { order_id: id, response: submitted.response }),
                Taken::Invalid(errors) => return Err(Error::Invalid(errors)),
                Taken::KeyUsed => {}
            }
            let Some((key, canonical)) = &submitted.key else { continue };
            match idempotency::find(&self.pool, key, canonical).await? {
                Some(Use::Again { order_id, response }) => {
                    return Ok(Receipt { order_id, response });
                }
                Some(Use::Other) => return Err(Error::KeyTaken),
                // Whoever had it was not taken in after all.
                None => {}
            }
        }
    }

    async fn ask(&self, submitted: Submitted) -> Result<Taken, Error> {
        let (tell, told) = oneshot::channel();
        self.counter.send((submitted, tell)).await.map_err(|_| Error::Closed)?;
        told.await.map_err(|_| Error::Closed)?
    }
}

/// In a task of its own: a client that goes away takes nobody else along.
async fn serve(pool: PgPool, mut waiting: mpsc::Receiver<Waiting>) {
    let mut together = Vec::new();
    while waiting.recv_many(&mut together, MOST).await > 0 {
        let (submitted, tells): (Vec<_>, Vec<_>) = together.drain(..).unzip();
        for (tell, told) in tells.into_iter().zip(take_all(&pool, &submitted).await) {
            // Whoever asked may have gone away.
            let _ = tell.send(told);
        }
    }
}

/// What became of each. What the database will not have of one does not concern the others.
async fn take_all(pool: &PgPool, submitted: &[Submitted]) -> Vec<Result<Taken, Error>> {
    let error = match store::in_time(transact(pool, submitted)).await {
        Ok(taken) => return taken.into_iter().map(Ok).collect(),
        Err(error) => error,
    };
    if let [_] = submitted {
        return vec![Err(error)];
    }
    if let Error::Storage(error) = error
        && store::is_infrastructure(&error)
    {
        return submitted.iter().map(|_| Err(Error::Storage(Arc::clone(&error)))).collect();
    }
    let mut taken = Vec::with_capacity(submitted.len());
    for one in submitted {
        taken.extend(Box::pin(take_all(pool, std::slice::from_ref(one))).await);
    }
    taken
}

async fn transact(pool: &PgPool, submitted: &[Submitted]) -> Result<Vec<Taken>, Error> {
    let transaction = Transaction::begin("order");
    let mut tx = pool.begin().await?;
    let taken = store_all(&mut tx, submitted).await?;
    tx.commit().await?;
    let stored = submitted.iter().zip(&taken).filter(|(_, taken)| matches!(taken, Taken::In));
    transaction.committed(stored.map(|(it, _)| (it.context, About::saga(SagaId(it.id)))));
    Ok(taken)
}

async fn store_all(sql: &mut PgConnection, submitted: &[Submitted]) -> Result<Vec<Taken>, Error> {
    let ours = claim(sql, submitted).await?;
    let products: Vec<String> =
        submitted.iter().flat_map(|it| it.submission.product_ids()).collect();
    let prices = prices(sql, &products).await?;
    let (mut taken, mut accepted) = (Vec::with_capacity(submitted.len()), Vec::new());
    for it in submitted {
        taken.push(match it.submission.clone().check(&prices) {
            _ if it.key.is_some() && !ours.contains(&it.id) => Taken::KeyUsed,
            Ok(order) => {
                accepted.push((it, order));
                Taken::In
            }
            Err(errors) => Taken::Invalid(errors),
        });
    }
    let stored: HashSet<Uuid> = accepted.iter().map(|(it, _)| it.id).collect();
    // Nothing comes of these: their keys are free.
    let wrong: Vec<Uuid> = ours.into_iter().filter(|id| !stored.contains(id)).collect();
    idempotency::forget(sql, &wrong).await?;
    let orders: Vec<_> = accepted.iter().map(|(it, order)| (it.id, order)).collect();
    order::insert(sql, &orders).await?;
    intend_openings(sql, &orders).await?;
    let mut told = Vec::with_capacity(2 * accepted.len());
    for (it, order) in &accepted {
        told.extend(messages(it.id, order, it.context)?);
    }
    outbox::put(sql, &told).await?;
    Ok(taken)
}

/// The orders whose keys nobody has used before.
async fn claim(sql: &mut PgConnection, submitted: &[Submitted]) -> sqlx::Result<HashSet<Uuid>> {
    let keyed = submitted.iter().filter_map(|it| {
        let (key, canonical) = it.key.as_ref()?;
        Some(idempotency::Claim { key, canonical, order_id: it.id, response: &it.response })
    });
    idempotency::claim(sql, &keyed.collect::<Vec<_>>()).await
}

/// Notes in the inbox that the orders are going to be opened. A cancellation that overtakes the
/// opening then has something to undo: without this it would find nothing, and the order would
/// stay pending after its saga has ended.
async fn intend_openings(sql: &mut PgConnection, orders: &[(Uuid, &Accepted)]) -> sqlx::Result<()> {
    let key = |id| Key { saga: SagaId(id), step: OPENING.to_owned(), leg: Leg::Action };
    let claims = orders.iter().map(|(id, _)| Claim { key: key(*id), tombstone: false });
    inbox::claim(sql, &claims.collect::<Vec<_>>()).await?;
    Ok(())
}

/// The saga's start, and the event that tells of the order.
fn messages(
    id: Uuid,
    order: &Accepted,
    context: Option<Context>,
) -> Result<[Outgoing; 2], serde_json::Error> {
    let mut created = EventEnvelope::of(SagaId(id), &order.created(id))?;
    created.traceparent = context.map(|context| context.to_string());
    Ok([start(id, &order.start(), context)?, Outgoing::event(&created)])
}

/// The message that starts the order's saga: the same one each time.
pub(crate) fn start(
    id: Uuid,
    input: &PlaceOrderInput,
    context: Option<Context>,
) -> Result<Outgoing, serde_json::Error> {
    Ok(Outgoing::start(&StartEnvelope {
        saga: SagaId(id),
        definition: DEFINITION.to_owned(),
        traceparent: context.map(|context| context.to_string()),
        body: serde_json::to_vec(input)?,
    }))
}

async fn prices(sql: &mut PgConnection, product_ids: &[String]) -> sqlx::Result<PriceList> {
    use sqlx::Row;
    sqlx::query("SELECT product_id, name, amount, currency FROM price WHERE product_id = ANY($1)")
        .bind(product_ids)
        .fetch_all(sql)
        .await?
        .iter()
        .map(|row| {
            let price = Money::new(row.try_get("amount")?, word(row, "currency", Currency::new)?);
            Ok((row.try_get("product_id")?, (row.try_get("name")?, price)))
        })
        .collect()
}
