//! The commands queue: take what has arrived, handle it, publish what follows, acknowledge.

use crate::{
    Answered, Fault, Settings,
    database::{Database, Unfinished},
    desk::{self, Desk, Entry},
    disposal,
    gates::Gates,
    series,
    together::Together,
};
use contracts::{CommandEnvelope, ReplyEnvelope, SagaId};
use messaging::{Consumer, Delivery, Outgoing, Publisher, spans};
use runtime::{
    failpoint::{self, Instead},
    resilience::Backoff,
    shutdown::Shutdown,
    trace::{self, Span},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::Semaphore, task::JoinSet};

/// Batches at one time: one in its transaction while another is being published.
const BATCHES: usize = 2;
/// Further tries of a faulted command within the process.
const SHORT_RETRIES: usize = 2;
/// For finishing what was begun when a stop begins.
const DRAIN: Duration = Duration::from_secs(20);

pub(crate) struct Commands {
    pub(crate) desk: Arc<Desk>,
    pub(crate) database: Database,
    pub(crate) publisher: Publisher,
    pub(crate) shutdown: Shutdown,
    pub(crate) settings: Settings,
    /// What commands that are alone want sent; whether it was confirmed.
    pub(crate) leaving: Together<Vec<Outgoing>, bool>,
}

/// A delivery that could be read.
struct Job {
    delivery: Delivery,
    /// Its `traceparent` is that of the span.
    command: CommandEnvelope,
    /// From its arrival until it is acknowledged.
    span: Span,
}

impl Commands {
    /// Until a stop begins; then finishes what is under way.
    pub(crate) async fn run(self: Arc<Self>, consumer: Consumer) {
        let gates = Gates::new(self.database.breaker.clone(), self.desk.breakers());
        let batches = Arc::new(Semaphore::new(BATCHES));
        let calls = Arc::new(Semaphore::new(self.settings.calls));
        let mut tasks = JoinSet::new();
        loop {
            while tasks.try_join_next().is_some() {}
            let work = async {
                let turn = Arc::clone(&batches).acquire_owned().await;
                (turn, consumer.next_batch(self.settings.batch).await)
            };
            let (turn, deliveries) = tokio::select! {
                work = work => work,
                breaker = gates.shut() => {
                    tracing::warn!(breaker, "circuit open: taking no commands");
                    consumer.pause().await;
                    if self.database.unless_stopped(passable(&gates, &mut tasks)).await.is_ok() {
                        consumer.resume();
                        tracing::info!(breaker, "taking commands again");
                    }
                    continue;
                }
            };
            let Some(deliveries) = deliveries else { break };
            let mut together = Vec::new();
            for delivery in deliveries {
                match self.read(delivery) {
                    Ok(job) => match self.desk.entry(&job.command.kind) {
                        Some(Entry::Outside(_)) => {
                            let (this, calls) = (Arc::clone(&self), Arc::clone(&calls));
                            tasks.spawn(async move {
                                let _turn = calls.acquire().await;
                                this.alone(job, None).await;
                            });
                        }
                        Some(Entry::Database(_)) | None => together.push(job),
                    },
                    Err(poison) => {
                        let (delivery, letter) = *poison;
                        let this = Arc::clone(&self);
                        tasks.spawn(async move {
                            this.finish(vec![letter], vec![delivery], &[], Vec::new()).await;
                        });
                    }
                }
            }
            if !together.is_empty() {
                let this = Arc::clone(&self);
                tasks.spawn(async move {
                    let left = this.together(together).await;
                    drop(turn);
                    // Few, and none of the next batch's business.
                    for (job, fault) in left {
                        this.alone(job, Some(fault)).await;
                    }
                });
            }
        }
        let drained = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            tracing::warn!("stopping with commands under way: they stay with the broker");
        }
        tasks.shutdown().await;
        consumer.close().await;
    }

    /// A command that somebody here handles; or the dead letter that it becomes.
    fn read(&self, delivery: Delivery) -> Result<Job, Box<(Delivery, Outgoing)>> {
        let command = match delivery.incoming.command() {
            Ok(command) if self.desk.entry(&command.kind).is_some() => Ok(command),
            Ok(command) => Err(disposal::unknown_type(&command.kind)),
            Err(poison) => Err(poison),
        };
        let mut span = spans::process(&delivery.incoming, None);
        match command {
            Ok(mut command) => {
                command.traceparent = span.carry(command.traceparent);
                Ok(Job { delivery, command, span })
            }
            Err(poison) => {
                span.fail(poison.reason.as_str(), || poison.error.clone());
                let letter = disposal::of_poison(self.desk.name, &delivery.incoming, &poison);
                let letter = letter.departing(span.context());
                Err(Box::new((delivery, letter)))
            }
        }
    }

    /// All of them, but those that a failpoint has lost on their way.
    async fn arrived(&self, mut jobs: Vec<Job>) -> Vec<Job> {
        if cfg!(debug_assertions) {
            for job in std::mem::take(&mut jobs) {
                let Job { command, .. } = &job;
                match failpoint::hit_for("worker.received", &command.kind, command.saga).await {
                    Some(Instead::Lose) => job.delivery.ack().await,
                    _ => jobs.push(job),
                }
            }
        }
        jobs
    }

    /// Commands in one transaction. Those that faulted are left.
    async fn together(&self, jobs: Vec<Job>) -> Vec<(Job, Fault)> {
        let jobs = self.arrived(jobs).await;
        if jobs.is_empty() {
            return Vec::new();
        }
        let began = Instant::now();
        series::batch("commands", jobs.len());
        let items: Vec<_> = jobs.iter().filter_map(|job| self.desk.item(&job.command)).collect();
        let results = match desk::answer_all(&self.database, &items).await {
            Ok(results) => results,
            Err(Unfinished) => {
                hand_back(jobs.into_iter().map(|job| job.delivery)).await;
                return Vec::new();
            }
        };
        series::seconds(self.desk.name, began.elapsed());
        let (mut messages, mut deliveries, mut done) = (Vec::new(), Vec::new(), Vec::new());
        let (mut left, mut ended) = (Vec::new(), Vec::new());
        for (mut job, result) in jobs.into_iter().zip(results) {
            match result {
                Ok(answered) => {
                    messages.extend(self.messages(&job.command, answered, &mut job.span));
                    done.push((job.command.kind, job.command.saga));
                    deliveries.push(job.delivery);
                    ended.push(job.span);
                }
                Err(fault) => left.push((job, fault)),
            }
        }
        self.finish(messages, deliveries, &done, ended).await;
        left
    }

    /// One command to its end: a few short tries, then an answer, a retry or a dead letter.
    /// `fault` is that of a first try, if there was one.
    async fn alone(&self, job: Job, fault: Option<Fault>) {
        let Some(Job { delivery, command, mut span }) = self.arrived(vec![job]).await.pop() else {
            return;
        };
        let began = Instant::now();
        let done = [(command.kind.clone(), command.saga)];
        let messages = match self.try_briefly(&command, fault).await {
            Ok(Ok(answered)) => self.messages(&command, answered, &mut span),
            Ok(Err(fault)) => {
                span.fail("fault", || fault.chain());
                disposal::of_command(
                    self.desk.name,
                    &delivery.incoming,
                    &command,
                    &fault,
                    self.settings.retries,
                )
            }
            Err(Unfinished) => return hand_back([delivery]).await,
        };
        series::seconds(self.desk.name, began.elapsed());
        self.reach("worker.after-commit", &done).await;
        let confirmed = self.leaving.ask(messages, |waiting| self.send_all(waiting)).await;
        self.settle(confirmed == Some(true), vec![delivery], &done).await;
        drop(span);
    }

    async fn try_briefly(
        &self,
        command: &CommandEnvelope,
        first: Option<Fault>,
    ) -> Result<Result<Answered, Fault>, Unfinished> {
        // A call to the outside has had its short retries inside its own flow.
        let tries = match self.desk.entry(&command.kind) {
            Some(Entry::Database(_)) => SHORT_RETRIES + usize::from(first.is_none()),
            _ => 1,
        };
        let mut last = first;
        let mut delays = Backoff::new(Duration::from_millis(50), Duration::from_millis(500));
        for _ in 0..tries {
            match &last {
                Some(fault) if !fault.is_transient() => break,
                Some(_) => self.database.unless_stopped(delays.wait()).await?,
                None => {}
            }
            match self.desk.answer(&self.database, command).await? {
                Some(Ok(answered)) => return Ok(Ok(answered)),
                Some(Err(fault)) => last = Some(fault),
                None => break,
            }
        }
        let nobody = || Fault::permanent(format!("nobody here handles {}", command.kind));
        Ok(Err(last.unwrap_or_else(nobody)))
    }

    /// The reply and the events of an answer.
    fn messages(
        &self,
        command: &CommandEnvelope,
        answered: Answered,
        span: &mut Span,
    ) -> Vec<Outgoing> {
        tell(command, &answered);
        span.set("saga.outcome", answered.outcome.as_str());
        if answered.duplicate {
            span.set("saga.duplicate", "true");
            series::duplicate(self.desk.name);
        } else {
            series::handled(self.desk.name, command, answered.outcome.as_str());
        }
        let reply = ReplyEnvelope::to(command, answered.outcome, answered.body.into_bytes());
        let events = answered.events.iter().map(Outgoing::event);
        let messages = events.chain([Outgoing::reply(&reply)]);
        messages.map(|message| message.departing(span.context())).collect()
    }

    /// Acknowledges once everything that follows is confirmed, and not before.
    async fn finish(
        &self,
        messages: Vec<Outgoing>,
        deliveries: Vec<Delivery>,
        done: &[(String, SagaId)],
        ended: Vec<Span>,
    ) {
        self.reach("worker.after-commit", done).await;
        let confirmed = self.send(&messages).await;
        self.settle(confirmed, deliveries, done).await;
        drop(ended);
    }

    /// One answer for each who waits: whether all of it is confirmed.
    async fn send_all(&self, waiting: Vec<Vec<Outgoing>>) -> Vec<bool> {
        let asked = waiting.len();
        let messages: Vec<_> = waiting.into_iter().flatten().collect();
        vec![self.send(&messages).await; asked]
    }

    async fn send(&self, messages: &[Outgoing]) -> bool {
        self.publisher.send_until_confirmed(messages, &self.shutdown).await.is_ok()
    }

    async fn settle(&self, confirmed: bool, deliveries: Vec<Delivery>, done: &[(String, SagaId)]) {
        if confirmed {
            self.reach("worker.after-publish", done).await;
            Delivery::ack_all(deliveries).await;
        } else {
            hand_back(deliveries).await;
        }
    }

    async fn reach(&self, failpoint: &str, done: &[(String, SagaId)]) {
        for (kind, saga) in done {
            failpoint::hit_for(failpoint, kind, *saga).await;
        }
    }
}

fn tell(command: &CommandEnvelope, answered: &Answered) {
    let CommandEnvelope { saga, step, leg, attempt, kind, .. } = command;
    let Answered { outcome, duplicate, .. } = answered;
    tracing::debug!(
        saga.id = %saga, trace_id = trace::id(command.traceparent.as_deref()),
        saga.step = step, saga.leg = leg.as_str(), saga.attempt = attempt, command = kind,
        outcome = outcome.as_str(), duplicate,
        "{kind} {outcome}{}", if *duplicate { " before, answered again" } else { "" }
    );
}

/// Waits until taking commands makes sense again. Those at hand are the probes; only when none is
/// left, further ones have to be.
async fn passable(gates: &Gates, tasks: &mut JoinSet<()>) {
    loop {
        tokio::select! {
            () = gates.closed() => return,
            () = gates.admitted(), if tasks.is_empty() => return,
            _ = tasks.join_next(), if !tasks.is_empty() => {}
        }
    }
}

pub(crate) async fn hand_back(deliveries: impl IntoIterator<Item = Delivery>) {
    for delivery in deliveries {
        delivery.hand_back().await;
    }
}
