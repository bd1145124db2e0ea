//! The defences against a dependency that is slow, flaky or gone: growing delays, a short retry
//! in process, and a circuit breaker. The only file that uses `backoff` and `failsafe`, so that
//! either can be replaced here alone.
//!
//! What `failsafe` leaves open is closed here. Its half-open state lets everybody through: a
//! [`Breaker`] lets exactly one call through and refuses the others. Its delays know only whole
//! seconds, and may be drawn as none at all: the delays of [`Backoff`] are used instead. A call
//! that began before the circuit opened says nothing about the time after: it is not counted.

use backoff::backoff::Backoff as _;
use failsafe::failure_policy::{ConsecutiveFailures, consecutive_failures};
use failsafe::{Instrument, StateMachine};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Delays that grow from about `first` to at most `max`, each a random half to one and a half of
/// its step, so that many who lost the same broker do not come back together. Never ends.
#[derive(Clone, Debug)]
pub struct Backoff {
    steps: backoff::ExponentialBackoff,
    max: Duration,
}

impl Backoff {
    pub fn new(first: Duration, max: Duration) -> Self {
        let first = first.clamp(Duration::from_millis(1), max.max(Duration::from_millis(1)));
        let steps = backoff::ExponentialBackoffBuilder::new()
            .with_initial_interval(first)
            // The jitter reaches half as far again above its step, and `max` is a promise.
            .with_max_interval(max.mul_f64(2.0 / 3.0).max(first))
            .with_multiplier(2.0)
            .with_randomization_factor(0.5)
            .with_max_elapsed_time(None)
            .build();
        Self { steps, max }
    }

    /// Starts again from `first`: the dependency was seen well.
    pub fn reset(&mut self) {
        self.steps.reset();
    }

    /// Sleeps for the next delay.
    pub async fn wait(&mut self) {
        let delay = self.next_delay();
        tokio::time::sleep(delay).await;
    }

    fn next_delay(&mut self) -> Duration {
        self.steps.next_backoff().unwrap_or(self.max).min(self.max)
    }
}

impl Iterator for Backoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.next_delay())
    }
}

/// How often and how long [`retry`] tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Calls in all, the first included; 0 counts as 1.
    pub attempts: u32,
    /// The delay after the first failure, about.
    pub first: Duration,
    /// The longest delay.
    pub max: Duration,
    /// No further call begins later than this after the first began. It does not cut a call short:
    /// each call brings its own time limit.
    pub budget: Duration,
}

/// Calls `op` until it succeeds, fails for good, or attempts or budget are spent; the last error
/// is the answer.
pub async fn retry<T, E, F>(
    policy: Retry,
    is_transient: impl Fn(&E) -> bool,
    mut op: impl FnMut() -> F,
) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    let started = Instant::now();
    let mut delays = Backoff::new(policy.first, policy.max);
    let mut attempt = 1;
    loop {
        let error = match op().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let delay = delays.next_delay();
        let spent = attempt >= policy.attempts || started.elapsed() + delay >= policy.budget;
        if spent || !is_transient(&error) {
            return Err(error);
        }
        tokio::time::sleep(delay).await;
        attempt += 1;
    }
}

/// When a [`Breaker`] opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// Transient failures in a row that open the circuit; it need never have been well before.
    pub failures: u32,
    /// How long it stays open the first time, about; each failed probe doubles it.
    pub open_first: Duration,
    /// The longest it stays open.
    pub open_max: Duration,
}

impl Default for BreakerPolicy {
    fn default() -> Self {
        Self { failures: 5, open_first: Duration::from_secs(2), open_max: Duration::from_secs(30) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls go through.
    Closed,
    /// One call may go through, to see whether the dependency is back.
    HalfOpen,
    /// No call goes through.
    Open,
}

impl BreakerState {
    pub fn as_str(self) -> &'static str {
        match self {
            BreakerState::Closed => "closed",
            BreakerState::HalfOpen => "half-open",
            BreakerState::Open => "open",
        }
    }
}

/// A call that brought no result.
#[derive(Debug, thiserror::Error)]
pub enum Broken<E> {
    /// Not called at all: the circuit is open, or another call is the probe.
    #[error("not called: the circuit breaker is open")]
    Open,
    /// Called, and abandoned at the time limit: it may or may not have had its effect.
    #[error("the call did not end within its time limit")]
    TimedOut,
    #[error("the call failed")]
    Failed(#[source] E),
}

/// A circuit breaker around one dependency. Clones are the same breaker.
#[derive(Clone)]
pub struct Breaker {
    shared: Arc<Shared>,
}

struct Shared {
    name: &'static str,
    circuit: Mutex<Circuit>,
    state: watch::Sender<BreakerState>,
    /// Counts whatever may let a waiting call through.
    turns: watch::Sender<u64>,
}

struct Circuit {
    machine: StateMachine<ConsecutiveFailures<OpenTimes>, Watcher>,
    last_delay: Arc<Mutex<Duration>>,
    open_until: Instant,
    /// Whether the one probe of the half-open circuit is under way.
    probing: bool,
    /// How often the circuit has opened: a call from before an opening is not counted after it.
    openings: u64,
}

impl Breaker {
    /// `name` is a label of its metrics.
    pub fn new(name: &'static str, policy: BreakerPolicy) -> Self {
        let state = watch::Sender::new(BreakerState::Closed);
        let last_delay = Arc::new(Mutex::new(policy.open_first));
        let times = OpenTimes {
            delays: Backoff::new(policy.open_first, policy.open_max),
            last: last_delay.clone(),
        };
        let watcher = Watcher { name, state: state.clone() };
        let machine = failsafe::Config::new()
            .failure_policy(consecutive_failures(policy.failures.max(1), times))
            .instrument(watcher)
            .build();
        let circuit = Circuit {
            machine,
            last_delay,
            open_until: Instant::now(),
            probing: false,
            openings: 0,
        };
        let turns = watch::Sender::new(0);
        // There before it counts: the first count is an increase then.
        metrics::counter!("breaker_refused_total", "breaker" => name).increment(0);
        Self { shared: Arc::new(Shared { name, circuit: Mutex::new(circuit), state, turns }) }
    }

    pub fn name(&self) -> &'static str {
        self.shared.name
    }

    /// Runs `call` for at most `limit`, if the circuit lets it through.
    ///
    /// A timeout and an error that `is_transient` count against the dependency. Any other error is
    /// an answer, and so a sign of life. A call that is dropped counts as nothing.
    pub async fn call<T, E>(
        &self,
        limit: Duration,
        is_transient: impl Fn(&E) -> bool,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Broken<E>> {
        let Some(pass) = self.enter() else {
            metrics::counter!("breaker_refused_total", "breaker" => self.name()).increment(1);
            return Err(Broken::Open);
        };
        match tokio::time::timeout(limit, call).await {
            Ok(Ok(value)) => {
                pass.settle(true);
                Ok(value)
            }
            Ok(Err(error)) => {
                pass.settle(!is_transient(&error));
                Err(Broken::Failed(error))
            }
            Err(_) => {
                pass.settle(false);
                Err(Broken::TimedOut)
            }
        }
    }

    /// The state and its changes. An open circuit becomes half-open when somebody calls, or waits
    /// in [`admitted`](Self::admitted), once its time has passed.
    pub fn state(&self) -> watch::Receiver<BreakerState> {
        self.shared.state.subscribe()
    }

    /// Waits until a call may be tried. It is no ticket: of many who waited for the same probe one
    /// goes through, and the others are told [`Broken::Open`] and wait again.
    pub async fn admitted(&self) {
        let mut turns = self.shared.turns.subscribe();
        loop {
            turns.mark_unchanged();
            let until = match self.shared.look() {
                Look::Free => return,
                Look::Probing => None,
                Look::OpenUntil(until) => Some(until.into()),
            };
            // `turns` cannot close: its sender lives in `self`.
            match until {
                Some(until) => tokio::select! {
                    () = tokio::time::sleep_until(until) => {}
                    _ = turns.changed() => {}
                },
                None => {
                    let _ = turns.changed().await;
                }
            }
        }
    }

    fn enter(&self) -> Option<Pass> {
        let mut circuit = self.shared.lock();
        if !circuit.machine.is_call_permitted() {
            return None;
        }
        let probe = *self.shared.state.borrow() == BreakerState::HalfOpen;
        if probe && circuit.probing {
            return None;
        }
        circuit.probing |= probe;
        let openings = circuit.openings;
        Some(Pass { shared: self.shared.clone(), probe, openings })
    }
}

enum Look {
    Free,
    Probing,
    OpenUntil(Instant),
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self) -> Look {
        let circuit = self.lock();
        if !circuit.machine.is_call_permitted() {
            // The machine wants the time to have passed, not only to have come.
            return Look::OpenUntil(circuit.open_until + Duration::from_millis(1));
        }
        if *self.state.borrow() == BreakerState::HalfOpen && circuit.probing {
            return Look::Probing;
        }
        Look::Free
    }
}

/// The permission to make one call. Dropped without an outcome it gives the probe back.
struct Pass {
    shared: Arc<Shared>,
    probe: bool,
    openings: u64,
}

impl Pass {
    fn settle(self, well: bool) {
        let mut circuit = self.shared.lock();
        if circuit.openings != self.openings {
            return;
        }
        if well {
            circuit.machine.on_success();
        } else {
            circuit.machine.on_error();
        }
        if *self.shared.state.borrow() == BreakerState::Open {
            let delay = *circuit.last_delay.lock().unwrap_or_else(PoisonError::into_inner);
            circuit.open_until = Instant::now() + delay;
            circuit.openings += 1;
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.probe {
            self.shared.lock().probing = false;
            self.shared.turns.send_modify(|turns| *turns += 1);
        }
    }
}

/// The delays of the breaker, with a note of the last: the machine does not tell it.
#[derive(Clone)]
struct OpenTimes {
    delays: Backoff,
    last: Arc<Mutex<Duration>>,
}

impl Iterator for OpenTimes {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let delay = self.delays.next_delay();
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = delay;
        Some(delay)
    }
}

/// Tells the state of the machine to whoever watches. The machine is only used under the lock of
/// its circuit, so the states arrive in order.
struct Watcher {
    name: &'static str,
    state: watch::Sender<BreakerState>,
}

impl Watcher {
    fn tell(&self, state: BreakerState) {
        let gauge = match state {
            BreakerState::Closed => 0.0,
            BreakerState::HalfOpen => 1.0,
            BreakerState::Open => 2.0,
        };
        metrics::gauge!("breaker_state", "breaker" => self.name).set(gauge);
        let before = self.state.send_replace(state);
        if before != state {
            tracing::info!(breaker = self.name, ?before, now = ?state, "circuit breaker");
            metrics::counter!("breaker_changes_total", "breaker" => self.name, "to" => state.as_str())
                .increment(1);
        }
    }
}

impl Instrument for Watcher {
    fn on_call_rejected(&self) {}

    fn on_open(&self) {
        self.tell(BreakerState::Open);
    }

    fn on_half_open(&self) {
        self.tell(BreakerState::HalfOpen);
    }

    fn on_closed(&self) {
        self.tell(BreakerState::Closed);
    }
}
