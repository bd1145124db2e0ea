//! The REST side: submit, show, list and withdraw orders.

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use contracts::EventEnvelope;
use runtime::{
    http::{Body, Params, PathId, Problem, with_time_limit},
    page::{Cursor, Limit, Page},
};
use serde::Deserialize;
use sqlx::PgPool;
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

use crate::{
    idempotency,
    intake::{self, Intake},
    orchestrator::{self, Orchestrator},
    order::{Order, Status},
    retelling::{self, Place, YOUNG},
    submission::{Submission, is_id},
    withdrawal::{self, Withdrawal},
};

/// Clients are promised an answer within 5 s.
const TIME_LIMIT: Duration = Duration::from_millis(4500);
const RETRY_AFTER_S: u32 = 2;

/// What the routes work with.
#[derive(Clone)]
pub struct Api {
    pub pool: PgPool,
    pub intake: Intake,
    pub orchestrator: Orchestrator,
    /// Called after messages were put into the outbox, so that they leave at once.
    pub nudge: Arc<dyn Fn() + Send + Sync>,
}

pub fn router(api: Api) -> Router {
    let routes = Router::new()
        .route("/api/v1/orders", post(submit).get(list))
        .route("/api/v1/orders/{id}", get(show).delete(withdraw))
        .route("/api/v1/events", get(events))
        .route("/docs/openapi.json", get(document));
    with_time_limit(routes, TIME_LIMIT).with_state(api)
}

async fn submit(
    State(api): State<Api>,
    headers: HeaderMap,
    Body(submission): Body<Submission>,
) -> Result<Response, Problem> {
    let key = idempotency::key(&headers)?;
    let receipt = api.intake.take(key.as_deref(), submission).await?;
    (api.nudge)();
    let headers = [
        (header::LOCATION, format!("/api/v1/orders/{}", receipt.order_id)),
        (header::CONTENT_TYPE, "application/json".to_owned()),
    ];
    Ok((StatusCode::ACCEPTED, headers, receipt.response).into_response())
}

async fn show(State(api): State<Api>, PathId(id): PathId<Uuid>) -> Result<Json<Order>, Problem> {
    let order = Order::find(&api.pool, id).await.map_err(store::problem)?;
    order.map(Json).ok_or_else(|| unknown(id))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    status: Option<String>,
    customer_id: Option<String>,
    #[serde(default)]
    limit: Limit,
    cursor: Option<Cursor<Uuid>>,
}

async fn list(
    State(api): State<Api>,
    Params(query): Params<Query>,
) -> Result<Page<Order>, Problem> {
    let status =
        match query.status.as_deref() {
            None => None,
            Some(word) => Some(Status::parse(word).ok_or_else(|| {
                Problem::field("status", "must be pending, confirmed or cancelled")
            })?),
        };
    if query.customer_id.as_deref().is_some_and(|customer| !is_id(customer)) {
        return Err(Problem::field("customer_id", "is not a customer id"));
    }
    let before = query.cursor.map(|Cursor(id)| id);
    let customer = query.customer_id.as_deref();
    let orders = Order::list(&api.pool, status, customer, before, query.limit.rows())
        .await
        .map_err(store::problem)?;
    Ok(Page::cut(orders, query.limit, |order| order.order_id))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Since {
    #[serde(default)]
    limit: Limit,
    cursor: Option<Cursor<Place>>,
}

/// Oldest first; `next` is where to go on asking, and null when there is nothing to tell.
async fn events(
    State(api): State<Api>,
    Params(since): Params<Since>,
) -> Result<Page<EventEnvelope>, Problem> {
    let after = since.cursor.map(|Cursor(place)| place);
    let most = since.limit.rows() - 1;
    let orders =
        retelling::endings(&api.pool, after.as_ref(), most, YOUNG).await.map_err(store::problem)?;
    let events = orders.iter().map(retelling::event).collect::<Result<_, _>>();
    let items = events.map_err(|error| Problem::fault(&error))?;
    let next = orders.last().map(|last| Cursor(Place::of(last)).encode());
    Ok(Page { items, next })
}

async fn withdraw(State(api): State<Api>, PathId(id): PathId<Uuid>) -> Result<Response, Problem> {
    match withdrawal::withdraw(&api.pool, &api.orchestrator, id).await? {
        Withdrawal::Cancelled(order) => {
            (api.nudge)();
            Ok((StatusCode::ACCEPTED, Json(order)).into_response())
        }
        Withdrawal::Requested(order) => Ok((StatusCode::ACCEPTED, Json(order)).into_response()),
        Withdrawal::WasCancelled(order) => Ok(Json(order).into_response()),
        Withdrawal::Confirmed => Err(Problem::conflict("the order is confirmed: it is too late")),
        Withdrawal::Unknown => Err(unknown(id)),
    }
}

/// What these routes take and answer, for programs.
async fn document() -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, include_str!("../openapi.json")).into_response()
}

fn unknown(id: Uuid) -> Problem {
    Problem::not_found(format!("there is no order {id}"))
}

impl From<intake::Error> for Problem {
    fn from(error: intake::Error) -> Self {
        match error {
            intake::Error::Invalid(errors) => Problem::unprocessable(errors),
            intake::Error::KeyTaken => {
                Problem::field("Idempotency-Key", "was used before with another body")
            }
            intake::Error::Storage(error) => store::problem(error),
            intake::Error::Encode(error) => Problem::fault(&error),
            intake::Error::Closed => Problem::unavailable("the service is stopping", RETRY_AFTER_S),
        }
    }
}

impl From<withdrawal::Error> for Problem {
    fn from(error: withdrawal::Error) -> Self {
        use orchestrator::Error::{NotNow, TooLate, Unreachable};
        match error {
            withdrawal::Error::Orchestrator(TooLate(detail)) => Problem::conflict(detail),
            withdrawal::Error::Orchestrator(error @ (NotNow(_) | Unreachable(_))) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot cancel a saga");
                Problem::unavailable("the order cannot be cancelled right now", RETRY_AFTER_S)
            }
            withdrawal::Error::Storage(error) => store::problem(error),
            withdrawal::Error::Encode(error) => Problem::fault(&error),
        }
    }
}
