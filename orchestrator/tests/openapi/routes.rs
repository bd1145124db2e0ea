//! What the router serves is what the document describes, route by route and method by method.

use anyhow::{Context, Result, ensure};
use axum::Router;
use messaging::{Amqp, Publisher};
use orchestrator::{
    api::{self, Desk, participants::Participants},
    dead_letters::{Office, Settings},
    engine::Engine,
    sending::Sender,
};
use runtime::{health::Health, shutdown::Shutdown};
use saga_core::Patience;
use sqlx::postgres::PgPoolOptions;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// The document itself describes no interface.
const UNDESCRIBED: [&str; 2] = ["GET /docs", "GET /docs/openapi.json"];

#[tokio::test]
async fn every_route_is_described_and_every_description_is_of_a_route() -> Result<()> {
    let served = served(&router()?)?;
    let mut described: BTreeSet<String> = UNDESCRIBED.map(str::to_owned).into();
    let document = crate::document::Document(serde_json::to_value(api::document())?);
    for operation in document.operations()? {
        described.insert(format!("{} {}", operation.method, operation.path));
    }
    ensure!(described.len() > 25, "{described:?}");
    let missing: Vec<_> = served.difference(&described).collect();
    let invented: Vec<_> = described.difference(&served).collect();
    ensure!(missing.is_empty(), "served and not described: {missing:?}");
    ensure!(invented.is_empty(), "described and not served: {invented:?}");
    Ok(())
}

/// As the process makes it, with nothing behind it.
fn router() -> Result<Router> {
    let shutdown = Shutdown::manual();
    let pool = PgPoolOptions::new().connect_lazy("postgres://nobody@127.0.0.1:1/nothing")?;
    let engine = Engine::over(pool, Arc::new(sagas::catalogue(Patience::default())));
    let amqp = Amqp::new("amqp://127.0.0.1:1".parse().map_err(anyhow::Error::msg)?, "nobody")?;
    let publisher = Publisher::start(&amqp, Health::new().part("publisher"), &shutdown);
    let sender = Sender { publisher: publisher.clone(), shutdown: shutdown.clone() };
    let settings = Settings { owners: Vec::new(), patience: Duration::from_secs(1) };
    let office = Office::new(&settings, engine.clone(), publisher, shutdown);
    let desk = Desk::new(engine, sender, Participants::new(amqp, "")?);
    Ok(api::router(desk, office))
}

/// `GET /api/v1/sagas`, by what axum says of its routers: each route's `Allow` header by its number,
/// then each path with the number of its route.
fn served(router: &Router) -> Result<BTreeSet<String>> {
    let told = format!("{router:?}");
    let (routes, rest) = told.split_once("node: Node { paths: {").context("another axum")?;
    let mut allowed = BTreeMap::new();
    for route in routes.split("RouteId(").skip(1) {
        let (number, route) = route.split_once(')').context("another axum")?;
        let (_, allow) = route.split_once("allow_header: Bytes(b\"").context("another axum")?;
        allowed.insert(number, allow.split_once('"').context("another axum")?.0);
    }
    let paths = rest.split_once("} }").context("another axum")?.0;
    let mut served = BTreeSet::new();
    for entry in paths.split("RouteId(").skip(1) {
        let (number, rest) = entry.split_once("): \"").context("another axum")?;
        let path = rest.split_once("\"").context("another axum")?.0;
        let methods = allowed.get(number).context("a path without a route")?;
        // HEAD comes with GET by itself.
        for method in methods.split(',').filter(|method| *method != "HEAD") {
            served.insert(format!("{method} {path}"));
        }
    }
    ensure!(!served.is_empty(), "nothing is served: {told}");
    Ok(served)
}
