//! What the breaker, the retry and the delays promise. Real time, short delays, no fixed sleeps.

#![allow(clippy::unwrap_used)]

use runtime::resilience::{Backoff, Breaker, BreakerPolicy, BreakerState, Broken, Retry, retry};
use std::{
    future::{pending, ready},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{sync::Semaphore, time::timeout};

const LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug, PartialEq, thiserror::Error)]
enum Fault {
    #[error("gone for now")]
    Transient,
    #[error("not acceptable")]
    Lasting,
}

fn is_transient(fault: &Fault) -> bool {
    *fault == Fault::Transient
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn breaker(failures: u32, open: Duration) -> Breaker {
    Breaker::new("test", BreakerPolicy { failures, open_first: open, open_max: open })
}

async fn call(breaker: &Breaker, result: Result<(), Fault>) -> Result<(), Broken<Fault>> {
    breaker.call(LIMIT, is_transient, ready(result)).await
}

fn state(breaker: &Breaker) -> BreakerState {
    *breaker.state().borrow()
}

async fn trip(breaker: &Breaker, failures: u32) {
    for _ in 0..failures {
        let _ = call(breaker, Err(Fault::Transient)).await;
    }
    assert_eq!(state(breaker), BreakerState::Open);
}

#[tokio::test]
async fn a_dependency_that_never_answered_opens_the_circuit_all_the_same() {
    let breaker = breaker(3, LIMIT);
    for _ in 0..2 {
        let _ = call(&breaker, Err(Fault::Transient)).await;
        assert_eq!(state(&breaker), BreakerState::Closed);
    }
    let last = call(&breaker, Err(Fault::Transient)).await;
    assert!(matches!(last, Err(Broken::Failed(Fault::Transient))));
    assert_eq!(state(&breaker), BreakerState::Open);
}

#[tokio::test]
async fn an_open_circuit_does_not_even_start_the_call() {
    let breaker = breaker(1, LIMIT);
    trip(&breaker, 1).await;
    let result =
        breaker.call(LIMIT, is_transient, async { panic!("called through an open circuit") }).await;
    assert!(matches!(result, Err::<(), _>(Broken::Open)));
}

#[tokio::test]
async fn a_success_in_between_starts_the_count_anew() {
    let breaker = breaker(2, LIMIT);
    for _ in 0..10 {
        let _ = call(&breaker, Err(Fault::Transient)).await;
        call(&breaker, Ok(())).await.unwrap();
    }
    assert_eq!(state(&breaker), BreakerState::Closed);
}

#[tokio::test]
async fn an_error_that_is_not_transient_never_opens_the_circuit() {
    let breaker = breaker(1, LIMIT);
    for _ in 0..100 {
        let result = call(&breaker, Err(Fault::Lasting)).await;
        assert!(matches!(result, Err(Broken::Failed(Fault::Lasting))));
    }
    assert_eq!(state(&breaker), BreakerState::Closed);
}

#[tokio::test]
async fn a_call_that_hangs_counts_as_a_failure() {
    let breaker = breaker(2, LIMIT);
    for _ in 0..2 {
        let result = breaker.call(ms(5), is_transient, pending::<Result<(), Fault>>()).await;
        assert!(matches!(result, Err(Broken::TimedOut)));
    }
    assert_eq!(state(&breaker), BreakerState::Open);
}

#[tokio::test]
async fn a_call_that_is_dropped_counts_as_nothing() {
    let breaker = breaker(1, LIMIT);
    let hanging = breaker.call(LIMIT, is_transient, pending::<Result<(), Fault>>());
    assert!(timeout(ms(5), hanging).await.is_err());
    assert_eq!(state(&breaker), BreakerState::Closed);
}

#[tokio::test]
async fn a_half_open_circuit_lets_one_of_fifty_through_and_its_success_closes_it() {
    let breaker = breaker(1, ms(20));
    trip(&breaker, 1).await;
    timeout(LIMIT, breaker.admitted()).await.unwrap();
    assert_eq!(state(&breaker), BreakerState::HalfOpen);

    let (called, gate) = (Arc::new(AtomicU32::new(0)), Arc::new(Semaphore::new(0)));
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (breaker, called, gate) = (breaker.clone(), called.clone(), gate.clone());
        calls.spawn(async move {
            let work = async {
                called.fetch_add(1, Ordering::SeqCst);
                gate.acquire().await.map(drop).map_err(|_| Fault::Lasting)
            };
            breaker.call(LIMIT, is_transient, work).await
        });
    }
    // The 49 that are refused end while the probe is still under way.
    for _ in 0..49 {
        let refused = timeout(LIMIT, calls.join_next()).await.unwrap().unwrap().unwrap();
        assert!(matches!(refused, Err(Broken::Open)));
    }
    assert_eq!(called.load(Ordering::SeqCst), 1);
    assert_eq!(state(&breaker), BreakerState::HalfOpen);
    gate.add_permits(1);
    calls.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(state(&breaker), BreakerState::Closed);
    call(&breaker, Ok(())).await.unwrap();
}

#[tokio::test]
async fn a_probe_that_fails_opens_the_circuit_again() {
    let breaker = breaker(3, ms(20));
    trip(&breaker, 3).await;
    breaker.admitted().await;
    let _ = call(&breaker, Err(Fault::Transient)).await;
    assert_eq!(state(&breaker), BreakerState::Open);
}

#[tokio::test]
async fn a_probe_that_is_dropped_leaves_its_place_to_the_next() {
    let breaker = breaker(1, ms(20));
    trip(&breaker, 1).await;
    breaker.admitted().await;
    let mut probe = Box::pin(breaker.call(LIMIT, is_transient, pending::<Result<(), Fault>>()));
    assert!(timeout(ms(1), &mut probe).await.is_err());
    assert!(matches!(call(&breaker, Ok(())).await, Err(Broken::Open)));
    drop(probe);
    call(&breaker, Ok(())).await.unwrap();
    assert_eq!(state(&breaker), BreakerState::Closed);
}

#[tokio::test]
async fn a_call_from_before_the_opening_neither_closes_the_circuit_nor_takes_the_probe() {
    let breaker = breaker(1, ms(20));
    let gate = Semaphore::new(0);
    let early = breaker.call(LIMIT, is_transient, async {
        gate.acquire().await.map(drop).map_err(|_| Fault::Lasting)
    });
    tokio::pin!(early);
    assert!(timeout(ms(1), &mut early).await.is_err());
    trip(&breaker, 1).await;
    breaker.admitted().await;
    gate.add_permits(1);
    early.await.unwrap();
    assert_eq!(state(&breaker), BreakerState::HalfOpen, "only the probe may close it");
    call(&breaker, Ok(())).await.unwrap();
    assert_eq!(state(&breaker), BreakerState::Closed);
}

#[tokio::test]
async fn everybody_who_waits_for_admission_gets_a_turn_in_the_end() {
    let breaker = breaker(1, ms(20));
    trip(&breaker, 1).await;
    let failing = Arc::new(AtomicU32::new(2));
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (breaker, failing) = (breaker.clone(), failing.clone());
        waiting.spawn(async move {
            loop {
                breaker.admitted().await;
                let work = async {
                    tokio::task::yield_now().await;
                    let down = |left: u32| left.checked_sub(1);
                    match failing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, down) {
                        Ok(_) => Err(Fault::Transient),
                        Err(_) => Ok(()),
                    }
                };
                if breaker.call(LIMIT, is_transient, work).await.is_ok() {
                    return;
                }
            }
        });
    }
    timeout(LIMIT, waiting.join_all()).await.unwrap();
    assert_eq!(state(&breaker), BreakerState::Closed);
}

#[tokio::test]
async fn whoever_watches_sees_open_half_open_and_closed_in_this_order() {
    let breaker = breaker(1, ms(20));
    let mut watched = breaker.state();
    trip(&breaker, 1).await;
    assert_eq!(*watched.borrow_and_update(), BreakerState::Open);
    breaker.admitted().await;
    assert_eq!(*watched.borrow_and_update(), BreakerState::HalfOpen);
    call(&breaker, Ok(())).await.unwrap();
    assert_eq!(*watched.borrow_and_update(), BreakerState::Closed);
}

fn policy(attempts: u32, budget: Duration) -> Retry {
    Retry { attempts, first: ms(2), max: ms(5), budget }
}

async fn tried(policy: Retry, fault: fn() -> Fault) -> (u32, Fault) {
    let mut calls = 0;
    let result: Result<(), Fault> = retry(policy, is_transient, || {
        calls += 1;
        ready(Err(fault()))
    })
    .await;
    (calls, result.unwrap_err())
}

#[tokio::test]
async fn a_retry_makes_no_more_calls_than_its_attempts() {
    assert_eq!(tried(policy(4, LIMIT), || Fault::Transient).await, (4, Fault::Transient));
    assert_eq!(tried(policy(0, LIMIT), || Fault::Transient).await, (1, Fault::Transient));
}

#[tokio::test]
async fn a_retry_begins_no_call_after_its_budget() {
    let budget = ms(60);
    let started = Instant::now();
    let mut last = Duration::ZERO;
    let result: Result<(), Fault> = retry(policy(u32::MAX, budget), is_transient, || {
        last = started.elapsed();
        ready(Err(Fault::Transient))
    })
    .await;
    assert_eq!(result, Err(Fault::Transient));
    // The timer may be late, the decision may not: allow for a busy machine.
    assert!(last < budget + ms(200), "{last:?}");
    assert_eq!(tried(policy(9, Duration::ZERO), || Fault::Transient).await.0, 1);
}

#[tokio::test]
async fn a_lasting_fault_is_not_retried() {
    assert_eq!(tried(policy(4, LIMIT), || Fault::Lasting).await, (1, Fault::Lasting));
}

#[tokio::test]
async fn a_retry_ends_with_the_first_success() {
    let mut calls = 0;
    let result = retry(policy(9, LIMIT), is_transient, || {
        calls += 1;
        ready(if calls < 3 { Err(Fault::Transient) } else { Ok(calls) })
    })
    .await;
    assert_eq!(result, Ok(3));
}

#[test]
fn delays_grow_scatter_and_stay_below_their_maximum() {
    let (first, max) = (ms(100), Duration::from_secs(3));
    for _ in 0..100 {
        let delays: Vec<Duration> = Backoff::new(first, max).take(12).collect();
        assert!(delays[0] >= first / 2 && delays[0] <= first * 3 / 2, "{delays:?}");
        assert!(delays.iter().all(|delay| *delay <= max && !delay.is_zero()), "{delays:?}");
        assert!(delays[8..].iter().all(|delay| *delay >= max / 4), "{delays:?}");
    }
    let once: Vec<Duration> = Backoff::new(first, max).take(12).collect();
    assert_ne!(once, Backoff::new(first, max).take(12).collect::<Vec<_>>());
    let mut backoff = Backoff::new(first, max);
    let _ = backoff.by_ref().take(9).count();
    backoff.reset();
    assert!(backoff.next().unwrap() <= first * 3 / 2);
}
