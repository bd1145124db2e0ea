//! The payment gateway: authorise, capture, void, refund.

use crate::{
    Simulator,
    answer::Answer,
    fault::Target::Gateway,
    ledger::{Authorise, Decision, Ledger},
};
use axum::{Router, extract::State, http::HeaderMap, routing::post};
use runtime::http::Body;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Authorised {
    /// The idempotency key under which the amount was authorised.
    authorisation_key: String,
}

pub(crate) fn routes() -> Router<Simulator> {
    Router::new()
        .route("/authorisations", post(authorise))
        .route("/captures", post(capture))
        .route("/voids", post(void))
        .route("/refunds", post(refund))
}

async fn authorise(
    State(simulator): State<Simulator>,
    headers: HeaderMap,
    Body(wanted): Body<Authorise>,
) -> Result<Answer, Answer> {
    let key = crate::request::key(&headers)?;
    if wanted.method == "card_flaky" && simulator.book.count_try(key) <= 2 {
        return Err(Answer::no(503, "flaky"));
    }
    let told = simulator
        .tell(Gateway, "authorise", &headers, &wanted, |key, ledger| {
            ledger.authorise(key, &wanted, format!("auth_{}", uuid::Uuid::now_v7().simple()))
        })
        .await?;
    if wanted.method == "card_timeout" && told.first {
        // The money is set aside, and the caller never hears of it.
        std::future::pending::<()>().await;
    }
    Ok(told.answer)
}

async fn capture(
    State(simulator): State<Simulator>,
    headers: HeaderMap,
    Body(named): Body<Authorised>,
) -> Result<Answer, Answer> {
    simulator.settle("capture", &headers, named, Ledger::capture).await
}

async fn void(
    State(simulator): State<Simulator>,
    headers: HeaderMap,
    Body(named): Body<Authorised>,
) -> Result<Answer, Answer> {
    simulator.settle("void", &headers, named, Ledger::void).await
}

async fn refund(
    State(simulator): State<Simulator>,
    headers: HeaderMap,
    Body(named): Body<Authorised>,
) -> Result<Answer, Answer> {
    simulator.settle("refund", &headers, named, Ledger::refund).await
}

impl Simulator {
    async fn settle(
        &self,
        operation: &str,
        headers: &HeaderMap,
        named: Authorised,
        decide: impl FnOnce(&Ledger, &str) -> Decision,
    ) -> Result<Answer, Answer> {
        let told = self
            .tell(Gateway, operation, headers, &named, |_, ledger| {
                decide(ledger, &named.authorisation_key)
            })
            .await?;
        Ok(told.answer)
    }
}
