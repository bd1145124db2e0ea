//! Taking an order in: the idempotency key, the order and the messages that set its saga going
//! commit together, so an accepted order is never lost, whether or not the broker is up.

use contracts::{
    Currency, EventEnvelope, Leg, Money, SagaId, StartEnvelope, order::PlaceOrderInput,
};
use messaging::{
    Outgoing,
    spans::{About, Transaction},
};
use runtime::{http::FieldError, trace};
use sqlx::{PgConnection, PgPool};
use store::{
    inbox::{self, Claim, Key},
    outbox,
};
use uuid::Uuid;

use crate::{
    idempotency::{self, Use},
    order::word,
    submission::{Accepted, PriceList, Submission},
};

/// The definition that an order's saga follows.
const DEFINITION: &str = "place-order";
/// Its step that takes an order into work.
const OPENING: &str = "open-order";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the order breaks {} rules", .0.len())]
    Invalid(Vec<FieldError>),
    #[error("the idempotency key was used with another body")]
    KeyTaken,
    #[error("cannot write the order's messages")]
    Encode(#[from] serde_json::Error),
    #[error("cannot store the order")]
    Storage(#[from] sqlx::Error),
}

/// An order taken in, now or when the same request came before.
#[derive(Debug)]
pub struct Receipt {
    pub order_id: Uuid,
    /// The JSON to answer with, byte for byte the same for the same key.
    pub response: String,
}

/// Stores the order in one transaction. The caller nudges the outbox afterwards.
pub async fn take(
    pool: &PgPool,
    key: Option<&str>,
    submission: Submission,
) -> Result<Receipt, Error> {
    let id = Uuid::now_v7();
    let response =
        serde_json::json!({ "order_id": id, "saga_id": id, "status": "pending" }).to_string();
    trace::note("saga.id", id);
    let transaction = Transaction::begin("order");
    let mut tx = pool.begin().await?;
    if let Some(key) = key {
        let canonical = serde_json::to_string(&submission)?;
        match idempotency::claim(&mut tx, key, &canonical, id, &response).await? {
            Use::First => {}
            Use::Again { order_id, response } => return Ok(Receipt { order_id, response }),
            Use::Other => return Err(Error::KeyTaken),
        }
    }
    let prices = prices(&mut tx, &submission.product_ids()).await?;
    let order = submission.check(&prices).map_err(Error::Invalid)?;
    order.insert(id, &mut tx).await?;
    intend_opening(&mut tx, id).await?;
    outbox::put(&mut tx, &messages(id, &order)?).await?;
    tx.commit().await?;
    transaction.committed([(trace::current(), About::saga(SagaId(id)))]);
    Ok(Receipt { order_id: id, response })
}

/// Notes in the inbox that the order is going to be opened. A cancellation that overtakes the
/// opening then has something to undo: without this it would find nothing, and the order would
/// stay pending after its saga has ended.
async fn intend_opening(sql: &mut PgConnection, id: Uuid) -> sqlx::Result<()> {
    let key = Key { saga: SagaId(id), step: OPENING.to_owned(), leg: Leg::Action };
    inbox::claim(sql, &[Claim { key, tombstone: false }]).await?;
    Ok(())
}

/// The saga's start, and the event that tells of the order.
fn messages(id: Uuid, order: &Accepted) -> Result<[Outgoing; 2], serde_json::Error> {
    let mut created = EventEnvelope::of(SagaId(id), &order.created(id))?;
    created.traceparent = trace::current().map(|context| context.to_string());
    Ok([start(id, &order.start())?, Outgoing::event(&created)])
}

/// The message that starts the order's saga: the same one each time.
pub(crate) fn start(id: Uuid, input: &PlaceOrderInput) -> Result<Outgoing, serde_json::Error> {
    Ok(Outgoing::start(&StartEnvelope {
        saga: SagaId(id),
        definition: DEFINITION.to_owned(),
        traceparent: trace::current().map(|context| context.to_string()),
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
