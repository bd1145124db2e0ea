//! Lists and counts, and that none of them reads the whole past.

use crate::instance::Instance;
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

fn ids(list: &Value) -> Vec<Value> {
    let items = list["items"].as_array().cloned().unwrap_or_default();
    items.into_iter().map(|item| item["saga_id"].clone()).collect()
}

#[tokio::test]
async fn every_filter_finds_its_own() -> Result<()> {
    let instance = Instance::start().await?;
    let parked = instance.until("payment.capture").await?.saga;
    instance.silence(parked).await?;
    let back = instance.until("inventory.reserve-stock").await?.saga;
    instance.verb(back, "cancel", json!({})).await?;
    let fresh = instance.begin("Ada_Lovelace").await?.saga;
    let (parked, back, fresh) = (json!(parked), json!(back), json!(fresh));
    for (query, found) in [
        ("", vec![&fresh, &back, &parked]),
        ("?parked=true", vec![&parked]),
        ("?state=compensating", vec![&back]),
        ("?cause=cancelled", vec![&back]),
        ("?cause=forced", vec![]),
        ("?step=open-order", vec![&fresh]),
        ("?step=capture-payment&parked=true", vec![&parked]),
        ("?open=false", vec![]),
        ("?open=true&state=running", vec![&fresh, &parked]),
        ("?older_than_seconds=3600", vec![]),
        ("?older_than_seconds=0", vec![&fresh, &back, &parked]),
        ("?text=ada_love", vec![&fresh]),
        ("?definition=place-order&text=nobody", vec![]),
    ] {
        let list = instance.get(&format!("/api/v1/sagas{query}")).await?;
        assert_eq!(ids(&list), found.into_iter().cloned().collect::<Vec<_>>(), "{query}");
    }
    let list = instance.get(&format!("/api/v1/sagas?text={}", fresh.as_str().unwrap())).await?;
    assert_eq!(ids(&list), [fresh], "by its id");
    let list = instance.get("/api/v1/sagas?parked=true").await?;
    assert_eq!(list["items"][0]["step"], "capture-payment");
    instance.stop().await
}

#[tokio::test]
async fn pages_of_a_search_go_on_where_the_last_one_ended() -> Result<()> {
    let instance = Instance::start().await?;
    for _ in 0..5 {
        instance.begin("cust_7").await?;
    }
    let (mut seen, mut next) = (Vec::new(), String::new());
    loop {
        let page = instance.get(&format!("/api/v1/sagas?text=cust_7&limit=2{next}")).await?;
        seen.extend(ids(&page));
        let Some(cursor) = page["next"].as_str() else { break };
        next = format!("&cursor={cursor}");
    }
    assert_eq!(seen.len(), 5);
    instance.stop().await
}

#[tokio::test]
async fn counts_say_what_is_open_and_what_is_parked() -> Result<()> {
    let instance = Instance::start().await?;
    let parked = instance.until("payment.capture").await?.saga;
    instance.silence(parked).await?;
    instance.begin("cust_2").await?;
    let counts = instance.get("/api/v1/sagas/counts").await?;
    assert_eq!((&counts["in_flight"], &counts["parked"]), (&json!(2), &json!(1)));
    assert_eq!(counts["oldest_open"]["saga_id"], json!(parked));
    assert_eq!(
        counts["by"],
        json!([
            { "definition": "place-order", "state": "running", "parked": false, "count": 1 },
            { "definition": "place-order", "state": "running", "parked": true, "count": 1 },
        ])
    );
    assert_eq!(counts["rates"]["started_per_minute"], 2);
    instance.stop().await
}

#[tokio::test]
async fn neither_counts_nor_hot_lists_read_sagas_that_have_ended() -> Result<()> {
    let instance = Instance::start().await?;
    let pool = &instance.engine.pool;
    // A past of 20,000 completed sagas, all of them days old.
    sqlx::query(
        "INSERT INTO saga (id, definition, version, state, steps, data, revision, created_at,
                           updated_at, ended_at)
         SELECT gen_random_uuid(), 'place-order', 1, 'completed', '{}', '{}', 8, at, at, at
           FROM (SELECT now() - interval '3 days' - n * interval '1 s' AS at
                   FROM generate_series(1, 20000) AS n) AS past",
    )
    .execute(pool)
    .await?;
    for _ in 0..3 {
        instance.begin("cust_3").await?;
    }
    // As the server does by itself after a while.
    let mut owner = PgConnection::connect(instance.owner_url()).await?;
    sqlx::query("VACUUM ANALYZE saga").execute(&mut owner).await?;
    for path in [
        "/counts",
        "?open=true",
        "?parked=true",
        "?state=running",
        "?step=open-order",
        "?cause=forced",
        "?limit=10",
    ] {
        let before = reads(&instance).await?;
        instance.get(&format!("/api/v1/sagas{path}")).await?;
        let read = reads(&instance).await? - before;
        ensure!(read < 200, "{path} has read {read} rows of 20,003");
    }
    instance.stop().await
}

/// Rows of the table that were read so far.
async fn reads(instance: &Instance) -> Result<i64> {
    let pool = &instance.engine.pool;
    // Every connection tells its own numbers, when it is asked to.
    let mut connections = Vec::new();
    while let Some(connection) = pool.try_acquire() {
        connections.push(connection);
    }
    for connection in &mut connections {
        sqlx::query("SELECT pg_stat_force_next_flush()").execute(&mut **connection).await?;
    }
    drop(connections);
    let sql = "SELECT (seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint
                 FROM pg_stat_user_tables WHERE relname = 'saga'";
    Ok(sqlx::query_scalar(sql).fetch_one(pool).await?)
}
