use anyhow::{Context, Result};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// How long a test waits for what must come; far beyond what it takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
const BETWEEN: Duration = Duration::from_millis(50);

/// Asks until `check` answers `Ok`. After `limit` it is an error that names what was waited for,
/// with the last answer as its cause.
pub async fn eventually<T>(
    limit: Duration,
    what: &str,
    mut check: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    let mut last = anyhow::anyhow!("the first look at it did not end in time");
    while Instant::now() < deadline {
        match timeout_at(deadline, check()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => last = error,
            Err(_) => break,
        }
        sleep(BETWEEN).await;
    }
    Err(last).with_context(|| format!("waited {limit:?} for: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(300);

    #[tokio::test]
    async fn the_last_answer_explains_why_it_gave_up() {
        let mut asked = 0;
        let failed = eventually(LIMIT, "the moon", async || {
            asked += 1;
            anyhow::bail!("look {asked}") as Result<()>
        })
        .await
        .unwrap_err();
        assert_eq!(failed.to_string(), "waited 300ms for: the moon");
        assert!(failed.root_cause().to_string().starts_with("look "));
        assert!(asked > 0);
    }

    #[tokio::test]
    async fn a_look_that_hangs_does_not_outlast_the_limit() {
        let hanging = async || std::future::pending::<Result<()>>().await;
        eventually(LIMIT, "nothing", hanging).await.unwrap_err();
    }
}
