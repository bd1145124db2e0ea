//! The notification service on port 8004; `notification migrate` prepares its database.

use contracts::notification::NotifyCustomer;
use notification::{MIGRATOR, Notification, api, settings::Settings};
use worker::Worker;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::from_env()?;
    Worker::from_env("notification", Notification::new(settings)?)?
        .outside::<NotifyCustomer>()
        .routes(|context| api::router(context.pool.clone()))
        .migrations(&MIGRATOR)
        .port(8004)
        .run_until_signal()
        .await?;
    Ok(())
}
