//! Walks every world that a saga can get into: any message lost, doubled, late or overtaken, any
//! refusal, fault, silence, cancel, deadline and resume. Checks safety in every world and, from
//! every world, that the saga still can end or be parked. Then plants mistakes and expects each to
//! be found: a check that finds nothing proves nothing.

mod mutants;
mod walk;
mod world;

use saga_core::{LegSpec, Plan, StepSpec, transition};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use walk::{Explored, explore};
use world::Participants;

fn leg(command: &'static str, attempts: u8) -> LegSpec {
    LegSpec { attempts, ..LegSpec::of(command) }
}

fn compensatable(name: &'static str) -> StepSpec {
    StepSpec::compensatable(name, leg("p.do", 2), leg("p.undo", 2))
}

/// The shape of the order saga: four steps that can be undone, the pivot, two that go forward.
fn order_saga() -> Plan {
    Plan::new(
        "order",
        1,
        vec![
            vec![compensatable("open-order")],
            vec![compensatable("reserve-stock")],
            vec![compensatable("authorise-payment")],
            vec![compensatable("book-shipment")],
            vec![StepSpec::pivot("capture-payment", leg("p.do", 2))],
            vec![StepSpec::retriable("confirm-order", leg("p.do", 2))],
            vec![StepSpec::retriable("notify-customer", leg("p.do", 2))],
        ],
    )
    .expect("a saga's shape")
}

/// Two stages of parallel steps, one of them with a step that leaves nothing to undo.
fn parallel_saga() -> Plan {
    Plan::new(
        "trip",
        1,
        vec![
            vec![compensatable("open")],
            vec![
                compensatable("hotel"),
                StepSpec::compensatable("flight", leg("p.do", 1), leg("p.undo", 1)),
                StepSpec::read_only("visa", leg("p.check", 1)),
            ],
            vec![StepSpec::pivot("pay", leg("p.do", 2))],
            vec![
                StepSpec::retriable("ticket", leg("p.do", 2)),
                StepSpec::retriable("mail", leg("p.do", 1)),
            ],
        ],
    )
    .expect("a saga's shape")
}

/// Small enough to be walked once per mutant, with everything in it that a mutant may break.
fn small_saga() -> Plan {
    Plan::new(
        "small",
        1,
        vec![
            vec![compensatable("first")],
            vec![compensatable("left"), compensatable("right")],
            vec![StepSpec::pivot("pivot", leg("p.do", 2))],
            vec![StepSpec::retriable("last", leg("p.do", 2))],
        ],
    )
    .expect("a saga's shape")
}

fn expect_sound(plan: &Plan) {
    match explore(plan, transition, Participants::Honest) {
        Ok(Explored { worlds, moves, states, completed, compensated, parked }) => {
            #[allow(clippy::print_stdout, reason = "the issue of the walk is worth reading")]
            {
                println!(
                    "{}: {states} saga states in {worlds} worlds, {moves} moves; {completed} completed, {compensated} compensated, {parked} parked",
                    plan.name()
                );
            }
            assert!(completed > 0 && compensated > 0 && parked > 0, "every kind of ending is met");
        }
        Err(found) => panic!("{}: {found}", plan.name()),
    }
}

#[test]
fn the_order_saga_never_loses_or_doubles_an_effect_and_always_can_end() {
    expect_sound(&order_saga());
}

#[test]
fn a_saga_with_parallel_stages_never_loses_or_doubles_an_effect_and_always_can_end() {
    expect_sound(&parallel_saga());
}

#[test]
fn every_planted_mistake_is_found() {
    let plan = small_saga();
    let next = AtomicUsize::new(0);
    let find_them = || {
        while let Some((name, rule, participants)) = mutants::ALL.get(next.fetch_add(1, SeqCst)) {
            match explore(&plan, *rule, *participants) {
                Ok(explored) => panic!("{name}: not found among {} worlds", explored.worlds),
                #[allow(clippy::print_stdout, reason = "which check catches which mistake")]
                Err(found) => println!("{name}: found: {found}"),
            }
        }
    };
    std::thread::scope(|threads| {
        threads.spawn(find_them);
        threads.spawn(find_them);
    });
}
