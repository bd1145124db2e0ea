//! Events that are asked for where the queue has not brought them.

use crate::{
    broker::Running,
    shop::{self, Taken, saga},
};
use axum::{Json, Router, extract::Query, routing::get};
use contracts::{EventEnvelope, SagaId};
use messaging::Outgoing;
use runtime::{health::Health, http};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering::SeqCst},
};
use testkit::{PATIENCE, ScratchDb, eventually};

fn taken(saga: SagaId) -> anyhow::Result<EventEnvelope> {
    Ok(EventEnvelope::of(saga, &Taken { thing: "teapot".to_owned() })?)
}

/// Tells this, then that, and then nothing more.
async fn publisher(this: Vec<EventEnvelope>, that: Vec<EventEnvelope>) -> anyhow::Result<String> {
    let pages = Arc::new([
        json!({ "items": this, "next": "this" }),
        json!({ "items": that, "next": "that" }),
        json!({ "items": [], "next": null }),
    ]);
    let tell = move |Query(asked): Query<HashMap<String, String>>| async move {
        let page = match asked.get("cursor").map(String::as_str) {
            None => 0,
            Some("this") => 1,
            Some(_) => 2,
        };
        Json::<Value>(pages[page].clone())
    };
    let listener = http::listen([127, 0, 0, 1].into(), 0).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let app = http::app(Router::new().route("/api/v1/events", get(tell)), Health::new());
    tokio::spawn(async { axum::serve(listener, app).await });
    Ok(url)
}

async fn heard(database: &ScratchDb, times: i32) -> anyhow::Result<()> {
    eventually(PATIENCE, "the events to be heard", async || {
        let told: i32 =
            sqlx::query_scalar("SELECT told FROM shelf").fetch_one(database.pool()).await?;
        anyhow::ensure!(told == times, "{told} are");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_the_queue_has_not_brought_is_asked_for_and_everything_counts_once()
-> anyhow::Result<()> {
    let database = shop::database(5).await?;
    let (brought, lost, late) = (saga(), saga(), saga());
    let stranger = EventEnvelope { kind: "shop.closed".to_owned(), ..taken(saga())? };
    let told = publisher(vec![taken(brought)?, stranger], vec![taken(lost)?, taken(late)?]).await?;
    // The first to be heard is not to be heard just now: nothing may be passed over for that.
    let worker = shop::worker().retold_by("shop", &told);
    worker.service().flaky.store(1, SeqCst);
    let shop = Running::start(worker, "shop", &database).await?;
    shop.send(&[Outgoing::event(&taken(brought)?)]).await?;
    heard(&database, 3).await?;
    eventually(PATIENCE, "the place to be noted", async || {
        let place: Option<String> =
            sqlx::query_scalar("SELECT place FROM retold").fetch_one(database.pool()).await?;
        anyhow::ensure!(place.as_deref() == Some("that"), "{place:?}");
        Ok(())
    })
    .await?;
    // What the queue brings afterwards is known already.
    shop.send(&[Outgoing::event(&taken(late)?), Outgoing::event(&taken(brought)?)]).await?;
    let another = saga();
    shop.send(&[Outgoing::event(&taken(another)?)]).await?;
    heard(&database, 4).await?;
    shop.stop().await
}
