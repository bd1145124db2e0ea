//! Runs cells: those of one phase side by side, one phase after the other.

use crate::{case::Scene, fault::Phase, ground::Ground, scenario, selection::Cell};
use anyhow::{Context, Result};
use contracts::SagaId;
use futures_util::{StreamExt, stream};
use std::{
    fmt::Write as _,
    sync::OnceLock,
    time::{Duration, Instant},
};
use tokio::time::timeout;

/// Whatever a cell does has limits of its own, which come to less.
const CELL: Duration = Duration::from_secs(180);
/// What a failed cell shows of each log.
const LOG_LINES: usize = 40;
/// And of each line.
const LINE: usize = 400;

/// How a cell went.
pub struct Outcome<'a> {
    pub cell: Cell<'a>,
    pub saga: Option<SagaId>,
    pub result: Result<()>,
    pub took: Duration,
}

pub enum Progress<'a, 'o> {
    Begun(Cell<'a>),
    Ended(&'o Outcome<'a>),
}

/// In an order that `seed` decides. `tell` hears of everything as it happens.
pub async fn run<'a>(
    ground: &Ground,
    cells: &[Cell<'a>],
    seed: u64,
    tell: &(impl Fn(Progress<'a, '_>) + Sync),
) -> Vec<Outcome<'a>> {
    let mut outcomes = Vec::with_capacity(cells.len());
    for phase in [Phase::Calm, Phase::Cuts, Phase::Deaths, Phase::Routes] {
        let mut now: Vec<_> =
            cells.iter().copied().filter(|cell| cell.fault.phase() == phase).collect();
        shuffle(&mut now, seed);
        let side_by_side = match phase {
            Phase::Calm | Phase::Deaths => 8,
            // A batch that is held for one saga and has another in it that is held, too, would wait for
            // what waits for it.
            Phase::Cuts | Phase::Routes => 1,
        };
        let run = async |cell: Cell<'a>| {
            tell(Progress::Begun(cell));
            let outcome = one(ground, cell).await;
            tell(Progress::Ended(&outcome));
            outcome
        };
        let mut running = stream::iter(now).map(run).buffer_unordered(side_by_side);
        while let Some(outcome) = running.next().await {
            outcomes.push(outcome);
        }
    }
    outcomes
}

async fn one<'a>(ground: &Ground, cell: Cell<'a>) -> Outcome<'a> {
    let began = Instant::now();
    let scene = Scene { ground, row: cell.row, id: OnceLock::new() };
    let result = timeout(CELL, scenario::run(&scene, cell.fault)).await;
    let result = result.context("the cell takes too long").flatten();
    Outcome { cell, saga: scene.id.get().copied(), result, took: began.elapsed() }
}

/// Why a cell is red: the error, the saga's timeline, the messages, and what the logs say of it.
pub async fn explain(ground: &Ground, outcome: &Outcome<'_>) -> String {
    let Err(error) = &outcome.result else { return String::new() };
    let mut story = format!("━━━━ {} ━━━━\n{error:#}\n", outcome.cell);
    let Some(saga) = outcome.saga else { return story };
    story += &ground.timeline(saga).await;
    let id = saga.to_string();
    for line in ground.tap.told(&id) {
        let _ = writeln!(story, "  {line}");
    }
    for (process, log) in ground.logs().await {
        let telling = |line: &&str| line.contains(&id) || line.contains(" WARN ");
        let lines: Vec<_> = log.lines().filter(telling).collect();
        for line in &lines[lines.len().saturating_sub(LOG_LINES)..] {
            let line: String = line.chars().take(LINE).collect();
            let _ = writeln!(story, "  {process}: {line}");
        }
    }
    story
}

/// By the numbers of a linear congruential generator (Knuth's MMIX).
fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut state = seed;
    for left in (1..items.len()).rev() {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        items.swap(left, (state >> 33) as usize % (left + 1));
    }
}
