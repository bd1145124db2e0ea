//! The REST side: the numbers, and the orders behind them.

use axum::{Json, Router, extract::State, routing::get};
use runtime::{
    http::{Params, Problem},
    page::{Cursor, Limit, Page},
};
use serde::Deserialize;
use sqlx::PgPool;

use crate::summary::{Order, Summary};

pub fn router(pool: PgPool) -> Router {
    Router::new()
        .route("/api/v1/analytics", get(summary))
        .route("/api/v1/analytics/orders", get(orders))
        .with_state(pool)
}

async fn summary(State(pool): State<PgPool>) -> Result<Json<Summary>, Problem> {
    Summary::read(&pool).await.map(Json).map_err(store::problem)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    #[serde(default)]
    limit: Limit,
    cursor: Option<Cursor<i64>>,
}

async fn orders(
    State(pool): State<PgPool>,
    Params(query): Params<Query>,
) -> Result<Page<Order>, Problem> {
    let before = query.cursor.map(|Cursor(seq)| seq);
    let orders = Order::list(&pool, before, query.limit.rows()).await.map_err(store::problem)?;
    Ok(Page::cut(orders, query.limit, |order| order.seq))
}
