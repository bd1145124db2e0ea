//! What PostgreSQL allows: the same row changes per saga, set-wise, in batches, with no broker.

use crate::{
    load::Measured,
    meter::Meter,
    process::{Instances, migrate, pool},
    saga::{Goods, PARTICIPANTS},
};
use anyhow::{Result, ensure};
use sqlx::PgPool;
use std::time::Instant;
use tokio::task::JoinSet;
use uuid::Uuid;

/// Batches under way at one time.
const LANES: usize = 4;

#[derive(Clone)]
struct Databases {
    journal: PgPool,
    participants: Vec<PgPool>,
    body: String,
    data: String,
}

pub async fn run(instances: &Instances, sagas: usize, batch: usize) -> Result<Measured> {
    let journal = instances.database("bench_floor_journal").await?;
    migrate("bench-orchestrator", &[], &journal).await?;
    let mut participants = Vec::new();
    for name in PARTICIPANTS {
        let database = instances.database(&format!("bench_floor_{name}")).await?;
        migrate("bench-participant", &[name], &database).await?;
        participants.push(pool(&database)?);
    }
    let body = serde_json::to_string(&Goods::new(false))?;
    let data = body.clone();
    let databases = Databases { journal: pool(&journal)?, participants, body, data };
    let meter = Meter::new(instances, &[], &[])?;
    let begun = meter.begin().await?;
    let mut lanes = JoinSet::new();
    let batches = sagas / batch;
    for lane in 0..LANES {
        let databases = databases.clone();
        lanes.spawn(async move {
            let mut waits = Vec::new();
            for _ in (lane..batches).step_by(LANES) {
                let ids: Vec<Uuid> = (0..batch).map(|_| Uuid::new_v4()).collect();
                let start = Instant::now();
                databases.drive(&ids).await?;
                waits.push(start.elapsed().as_secs_f64() * 1000.0);
            }
            anyhow::Ok(waits)
        });
    }
    let mut waits = Vec::new();
    while let Some(lane) = lanes.join_next().await {
        waits.extend(lane??);
    }
    let sagas = batches * batch;
    let cost = meter.end(begun, sagas).await?;
    let lines: i64 =
        sqlx::query_scalar("SELECT count(*) FROM saga_event").fetch_one(&databases.journal).await?;
    ensure!(usize::try_from(lines)? == sagas * (PARTICIPANTS.len() + 1), "{lines} lines");
    waits.sort_unstable_by(f64::total_cmp);
    let at = |part: f64| waits[((waits.len() - 1) as f64 * part) as usize];
    let rate = sagas as f64 / cost.seconds;
    Ok(Measured { sagas, rate, p50: at(0.5), p99: at(0.99), cost })
}

impl Databases {
    async fn drive(&self, ids: &[Uuid]) -> Result<()> {
        let mut tx = self.journal.begin().await?;
        sqlx::query(
            "INSERT INTO saga (id, definition, version, state, steps, data, revision, wake_at,
                               look_at, created_at, updated_at)
             SELECT id, 'bench', 1, 'running', '{}', $2::json, 1, now() + interval '30 s',
                    now() + interval '30 s', now(), now()
               FROM unnest($1::uuid[]) AS new (id)",
        )
        .bind(ids)
        .bind(&self.data)
        .execute(&mut *tx)
        .await?;
        self.append(&mut tx, ids, 1).await?;
        tx.commit().await?;
        for (step, participant) in self.participants.iter().enumerate() {
            self.act(participant, ids).await?;
            let last = step + 1 == self.participants.len();
            let mut tx = self.journal.begin().await?;
            sqlx::query("SELECT 1 FROM saga WHERE id = ANY($1) ORDER BY id FOR UPDATE")
                .bind(ids)
                .execute(&mut *tx)
                .await?;
            sqlx::query(
                "UPDATE saga SET steps = '{\"reserve\": {\"status\": \"done\"}}', revision = revision + 1,
                        state = CASE WHEN $2 THEN 'completed' ELSE 'running' END,
                        ended_at = CASE WHEN $2 THEN now() END, updated_at = now(),
                        wake_at = CASE WHEN NOT $2 THEN now() + interval '30 s' END,
                        look_at = CASE WHEN NOT $2 THEN look_at END
                  WHERE id = ANY($1)",
            )
            .bind(ids)
            .bind(last)
            .execute(&mut *tx)
            .await?;
            self.append(&mut tx, ids, i64::try_from(step)? + 2).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    async fn append(&self, tx: &mut sqlx::PgConnection, ids: &[Uuid], seq: i64) -> Result<()> {
        sqlx::query(
            "INSERT INTO saga_event (saga_id, seq, at, event, step, leg, attempt, outcome, body)
             SELECT id, $2, now(), 'replied', 'reserve', 'action', 1, 'done', $3::json
               FROM unnest($1::uuid[]) AS new (id)",
        )
        .bind(ids)
        .bind(seq)
        .bind(&self.body)
        .execute(tx)
        .await?;
        Ok(())
    }

    async fn act(&self, participant: &PgPool, ids: &[Uuid]) -> Result<()> {
        let mut tx = participant.begin().await?;
        sqlx::query(
            "INSERT INTO inbox (saga_id, step, leg, kind, outcome, reply)
             SELECT id, 'reserve', 'action', 'answer', 'done', $2::jsonb
               FROM unnest($1::uuid[]) AS new (id)",
        )
        .bind(ids)
        .bind(&self.body)
        .execute(&mut *tx)
        .await?;
        sqlx::query("INSERT INTO effect (saga_id, amount) SELECT unnest($1::uuid[]), 7")
            .bind(ids)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }
}
