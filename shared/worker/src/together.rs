//! What several tasks ask for at one time is done at one go: while one of them does it, others
//! queue up, and the next one does it for all of those. Nobody waits for company.

use std::{
    future::Future,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::oneshot;

pub(crate) struct Together<I, O> {
    waiting: Mutex<Vec<(I, oneshot::Sender<O>)>>,
    turn: tokio::sync::Mutex<()>,
}

impl<I, O> Default for Together<I, O> {
    fn default() -> Self {
        Together { waiting: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }
}

impl<I, O> Together<I, O> {
    /// What became of `item`. `work` does a number of items, and says of each what became of it,
    /// in their order. `None` when the task that did it was cancelled.
    pub(crate) async fn ask<W>(&self, item: I, work: impl Fn(Vec<I>) -> W) -> Option<O>
    where
        W: Future<Output = Vec<O>>,
    {
        let (tell, mut told) = oneshot::channel();
        self.waiting().push((item, tell));
        loop {
            tokio::select! {
                biased;
                done = &mut told => return done.ok(),
                _turn = self.turn.lock() => {
                    let (items, tells): (Vec<_>, Vec<_>) =
                        std::mem::take(&mut *self.waiting()).into_iter().unzip();
                    for (tell, done) in tells.into_iter().zip(work(items).await) {
                        // Whoever asked may have been cancelled.
                        let _ = tell.send(done);
                    }
                }
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<(I, oneshot::Sender<O>)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::Together;
    use futures_util::future::join_all;
    use std::sync::Mutex;
    use tokio::sync::Semaphore;

    #[tokio::test]
    async fn what_is_asked_for_meanwhile_is_done_at_one_go_and_everybody_gets_their_own() {
        let together = Together::default();
        let (goes, gate) = (Mutex::new(Vec::new()), Semaphore::new(0));
        let double = async |items: Vec<u32>| {
            goes.lock().unwrap().push(items.len());
            let _ = gate.acquire().await;
            items.into_iter().map(|item| item * 2).collect()
        };
        let asked = join_all((0..10).map(|item| together.ask(item, double)));
        // Dropped after the first poll of each: the first is at work, the others wait.
        let all = async {
            tokio::select! { biased; done = asked => done, () = std::future::pending() => vec![] }
        };
        let open = async { gate.close() };
        let (all, ()) = tokio::join!(all, open);
        let doubled: Vec<_> = (0..10).map(|item| Some(item * 2)).collect();
        assert_eq!(all, doubled);
        assert_eq!(*goes.lock().unwrap(), [1, 9]);
    }

    #[tokio::test]
    async fn a_task_that_is_cancelled_at_work_leaves_the_others_without_an_answer_and_not_waiting()
    {
        let together = Together::default();
        let stuck = together.ask(1, |_| std::future::pending::<Vec<u32>>());
        tokio::select! { biased; _ = stuck => {}, () = async {} => {} }
        assert_eq!(together.ask(2, async |items: Vec<u32>| items).await, Some(2));
    }
}
