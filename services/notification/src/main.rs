//! The notification service on port 8004; `notification migrate` prepares its database.

use contracts::notification::NotifyCustomer;
use notification::{MIGRATOR, Notification, api, settings::Settings};
use runtime::telemetry;
use worker::Worker;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    telemetry::init("notification");
    let settings = Settings::from_env()?;
    tracing::info!(?settings, "channels");
    Worker::from_env("notification", Notification::new(settings)?)?
        .outside::<NotifyCustomer>()
        .routes(|context| api::router(context.pool.clone()))
        .migrations(&MIGRATOR)
        .port(8004)
        .run_until_signal()
        .await?;
    Ok(())
}
