use anyhow::Result;
use std::{future::Future, thread, time::Duration};

/// For one thing to be removed. What outlasts it goes with the instances at the end of the run.
const LIMIT: Duration = Duration::from_secs(20);

/// Runs `removal` to its end from a `drop`, where nothing can be awaited: on a thread and runtime
/// of its own. A failure is of no consequence to the test that has ended.
pub(crate) fn finish(removal: impl Future<Output = Result<()>> + Send + 'static) {
    let runner = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        if let Ok(runtime) = runtime {
            let _ = runtime.block_on(async { tokio::time::timeout(LIMIT, removal).await });
        }
    });
    let _ = runner.join();
}
