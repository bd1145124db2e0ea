//! The REST side: products with their stock, what is held, and stock that comes in.

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use runtime::{
    http::{Body, Params, PathId, Problem},
    page::{Cursor, Limit, Page},
};
use serde::Deserialize;
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    hold::{self, Hold},
    product::Product,
    restock,
};

/// Units that may come in at once.
const MAX_RESTOCK: i64 = 1_000_000;

pub fn router(pool: PgPool) -> Router {
    Router::new()
        .route("/api/v1/products", get(products))
        .route("/api/v1/products/{id}", get(product))
        .route("/api/v1/products/{id}/restock", post(restock))
        .route("/api/v1/holds", get(holds))
        .with_state(pool)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProductQuery {
    #[serde(default)]
    limit: Limit,
    cursor: Option<Cursor<String>>,
}

async fn products(
    State(pool): State<PgPool>,
    Params(query): Params<ProductQuery>,
) -> Result<Page<Product>, Problem> {
    let after = query.cursor.as_ref().map(|Cursor(id)| id.as_str());
    if after.is_some_and(|id| !is_id(id)) {
        return Err(Problem::field("cursor", "is not a cursor that this list has given out"));
    }
    let products = Product::list(&pool, after, query.limit.rows()).await.map_err(store::problem)?;
    Ok(Page::cut(products, query.limit, |product| product.product_id.clone()))
}

async fn product(
    State(pool): State<PgPool>,
    PathId(id): PathId<String>,
) -> Result<Json<Product>, Problem> {
    if !is_id(&id) {
        return Err(unknown());
    }
    let product = Product::find(&pool, &id).await.map_err(store::problem)?;
    product.map(Json).ok_or_else(unknown)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Restock {
    quantity: i64,
}

async fn restock(
    State(pool): State<PgPool>,
    PathId(id): PathId<String>,
    headers: HeaderMap,
    Body(Restock { quantity }): Body<Restock>,
) -> Result<Response, Problem> {
    let key = idempotency_key(&headers)?;
    if !(1..=MAX_RESTOCK).contains(&quantity) {
        let message = format!("must be 1 to {MAX_RESTOCK}, is {quantity}");
        return Err(Problem::field("quantity", message));
    }
    if !is_id(&id) {
        return Err(unknown());
    }
    let answer = restock::restock(&pool, key.as_deref(), &id, quantity).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], answer).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HoldQuery {
    order_id: Option<Uuid>,
    #[serde(default)]
    limit: Limit,
    cursor: Option<Cursor<hold::Key>>,
}

async fn holds(
    State(pool): State<PgPool>,
    Params(query): Params<HoldQuery>,
) -> Result<Page<Hold>, Problem> {
    let after = query.cursor.as_ref().map(|Cursor(key)| key);
    if after.is_some_and(|key| !is_id(&key.product_id)) {
        return Err(Problem::field("cursor", "is not a cursor that this list has given out"));
    }
    let holds = Hold::list(&pool, query.order_id, after, query.limit.rows())
        .await
        .map_err(store::problem)?;
    Ok(Page::cut(holds, query.limit, Hold::key))
}

/// The form of product ids.
fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// The key the client sent, if any: 1 to 255 visible ASCII characters, at most once.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| {
        (1..=255).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
    });
    match (key, values.next()) {
        (Some(key), None) => Ok(Some(key.to_owned())),
        _ => Err(Problem::field(
            "Idempotency-Key",
            "must be sent once, with 1 to 255 visible ASCII characters",
        )),
    }
}

fn unknown() -> Problem {
    Problem::not_found("there is no such product")
}

impl From<restock::Error> for Problem {
    fn from(error: restock::Error) -> Self {
        match error {
            restock::Error::UnknownProduct => unknown(),
            restock::Error::KeyTaken => {
                Problem::field("Idempotency-Key", "was used before for another product or quantity")
            }
            restock::Error::Storage(error) => store::problem(error),
            restock::Error::Encode(error) => Problem::fault(&error),
        }
    }
}
