//! Years later: the rate with millions of ended sagas in the journal against the rate without, and
//! the orchestrator's memory over half a million sagas.

use crate::{four_steps::FourSteps, load::part, process::Instances, report::Row};
use anyhow::Result;
use sqlx::{Connection, PgConnection};
use std::time::Duration;

const WINDOW: usize = 1_000;
/// Each journal is measured so often, in turn.
const ROUNDS: usize = 4;
const ROUND: Duration = Duration::from_secs(8);
/// Sagas in one statement when the past is made.
const CHUNK: i64 = 250_000;
/// Sagas between two looks at the memory.
const STRETCH: usize = 100_000;

/// One of the sagas that were really driven, so many times over, at two a second until now, with
/// a history of the same length. Ids in order within a chunk, or it would take all day.
const PAST: &str = "
    WITH one AS MATERIALIZED (
        SELECT id, definition, version, state, steps, revision, budgets
          FROM saga WHERE state = 'completed' AND revision = 5 ORDER BY created_at LIMIT 1),
    past AS (
        INSERT INTO saga (id, definition, version, state, steps, data, revision, budgets,
                          created_at, updated_at, ended_at)
        SELECT new.id, definition, version, state, steps,
               json_build_object('order', new.id, 'note', repeat('n', 200)), revision, budgets, at,
               at, at
          FROM one,
               (SELECT gen_random_uuid() AS id, now() - number * interval '0.5 s' AS at
                  FROM generate_series($1::bigint + 1, $1 + $2) AS number ORDER BY 1) AS new
        RETURNING id, ended_at)
    INSERT INTO saga_event (saga_id, seq, at, event, step, leg, attempt, outcome, body)
    SELECT past.id, seq, past.ended_at, event, step, leg, attempt, outcome,
           '{\"authorisation\": \"auth_0123456789abcdef\", \"amount\": 1290}'
      FROM past, saga_event WHERE saga_id = (SELECT id FROM one)";

/// The rate with so many ended sagas and without any.
pub async fn growth(instances: &Instances, past: i64, tell: impl Fn(&str)) -> Result<Row> {
    tell("starting");
    let empty = FourSteps::named(instances, "growth_empty", &[]).await?;
    let mut full = FourSteps::named(instances, "growth_full", &[]).await?;
    for stack in [&empty, &full] {
        stack.load.saturated(2_000, 300, Duration::from_secs(5)).await?;
        stack.load.analyse().await?;
    }
    let bytes = fill(&full, past, &tell).await?;
    full.past = past;

    let mut row = Row { name: "growth", loads: Vec::new(), peaks: [0.0; 3], notes: Vec::new() };
    let (mut rates, mut costs) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for round in 1..=ROUNDS {
        // Whatever else the machine does, it does not always meet the same one.
        let order = if round % 2 == 1 { [0, 1] } else { [1, 0] };
        for which in order {
            let (stack, name) = [(&empty, "empty".to_owned()), (&full, format!("{past} ended"))]
                .into_iter()
                .nth(which)
                .unwrap_or((&empty, String::new()));
            tell(&format!("round {round} of {ROUNDS}: {name}"));
            let measured = stack.load.saturated(20_000, WINDOW, ROUND).await?;
            rates[which].push(measured.rate);
            costs[which].push(measured.cost.cpu.total());
            row.loads.push((format!("{name}, round {round}"), measured));
        }
    }
    tell("verifying");
    empty.verify().await?;
    full.verify().await?;
    let [rate_empty, rate_full] = rates.map(|mut rates| part(&mut rates, 0.5));
    let [cost_empty, cost_full] = costs.map(|mut costs| part(&mut costs, 0.5));
    row.notes.push(format!(
        "{past} ended sagas ({:.1} GB): {rate_full:.0} sagas/s against {rate_empty:.0} ({:.0} %), \
         {cost_full:.3} CPU-s per 1,000 against {cost_empty:.3} ({:.0} %); medians of {ROUNDS}",
        bytes as f64 / 1e9,
        rate_full / rate_empty * 100.0,
        cost_full / cost_empty * 100.0,
    ));
    row.peaks = full.load.meter.peaks();
    Ok(row)
}

/// Bytes of the journal's tables and indexes, once the past is in it and vacuumed.
async fn fill(stack: &FourSteps, past: i64, tell: &impl Fn(&str)) -> Result<i64> {
    // One connection: so that a setting of it holds.
    let options = stack.load.journal.connect_options();
    let mut connection = PgConnection::connect_with(&options).await?;
    sqlx::query("SET synchronous_commit = off").execute(&mut connection).await?;
    let mut made = 0;
    while made < past {
        tell(&format!("{made} of {past} ended sagas are there"));
        let chunk = CHUNK.min(past - made);
        sqlx::query(PAST).bind(made).bind(chunk).execute(&mut connection).await?;
        made += chunk;
    }
    tell("vacuuming");
    for sql in ["VACUUM (ANALYZE) saga", "VACUUM (ANALYZE) saga_event", "CHECKPOINT"] {
        sqlx::query(sql).execute(&mut connection).await?;
    }
    let bytes = "SELECT (pg_total_relation_size('saga') + pg_total_relation_size('saga_event'))";
    let bytes = sqlx::query_scalar(bytes).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(bytes)
}

/// The memory that the orchestrator holds after each stretch of so many sagas.
pub async fn soak(instances: &Instances, sagas: usize, tell: impl Fn(&str)) -> Result<Row> {
    tell("starting");
    let stack = FourSteps::named(instances, "soak", &[]).await?;
    stack.load.saturated(4_000, 300, Duration::from_secs(10)).await?;
    stack.load.analyse().await?;
    let mut row = Row { name: "soak", loads: Vec::new(), peaks: [0.0; 3], notes: Vec::new() };
    let mut held = vec![format!("{:.1} after warming up", stack.load.meter.resident())];
    let mut driven = 0;
    while driven < sagas {
        let stretch = STRETCH.min(sagas - driven);
        tell(&format!("{driven} of {sagas} sagas"));
        let measured = stack.load.saturated(stretch, WINDOW, Duration::MAX).await?;
        driven += stretch;
        held.push(format!("{:.1} after {driven}", stack.load.meter.resident()));
        row.loads.push((format!("to {driven}"), measured));
    }
    tell("verifying");
    stack.verify().await?;
    row.notes.push(format!("MiB that the orchestrator holds: {}", held.join(", ")));
    row.peaks = stack.load.meter.peaks();
    Ok(row)
}
