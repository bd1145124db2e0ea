//! What a test has time for: the commonest faults in quick succession, and proof that one that
//! nobody feels, or a book that was tampered with, does not pass.

use anyhow::{Context, Result, ensure};
use chaos::{
    books,
    campaign::{Campaign, Settings},
    fault::{
        Dependency::Gateway,
        Fault::{BrokerKilled, DatabaseKilled, Killed, MemoryAlarm, Outside, QueueDeleted},
        Mood::Down,
    },
    ground::{ADMIN, Ground, Target},
    load::{Entry, Kind, Told},
    scenario::Needs,
    verdict::Verdict,
};
use reqwest::Method;
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};
use uuid::Uuid;

const SEED: u64 = 1;
const SETTINGS: Settings = Settings { target: Target::Local, instances: 2, rate: 5 };

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_whatever_is_killed_or_taken_away() -> Result<()> {
    let blows = [
        (Killed("inventory".to_owned()), 1),
        (Killed("orchestrator".to_owned()), 1),
        (DatabaseKilled, 1),
        (QueueDeleted("payment.commands"), 1),
        (BrokerKilled, 0),
        (MemoryAlarm, 3),
        (Outside(Gateway, Down), 3),
    ]
    .map(|(fault, seconds)| (fault, Duration::from_secs(seconds)));
    let mut campaign = Campaign::start(SETTINGS, Needs::default()).await?;
    let outcome = campaign.in_succession("short", &blows, SEED, &|strike| println!("{strike}"));
    let outcome = outcome.await?;
    let noticed = what_is_wrong_is_noticed(campaign.ground(), &outcome.log).await;
    campaign.close().await;
    ensure!(outcome.verdict() == Verdict::Passed, "\n{}", outcome.story());
    noticed
}

/// What logs tell, an order that nobody has, and a second payment for one that is paid.
async fn what_is_wrong_is_noticed(ground: &Ground, log: &[Entry]) -> Result<()> {
    let told = ground.leaks(&["place-order completed"]).await?;
    ensure!(!told.is_empty(), "what the logs tell is not seen");
    let paid = log.iter().find(|entry| entry.kind == Kind::Good);
    let Some(&Entry { told: Told::Accepted(paid), .. }) = paid else {
        anyhow::bail!("no good order was accepted")
    };
    let key = format!("{paid}/once-more/action");
    let gateway = async |path: &str, key: &str, body: Value| -> Result<()> {
        let request = ground.request(Method::POST, "simulator", path)?.timeout(ADMIN);
        request.header("idempotency-key", key).json(&body).send().await?.error_for_status()?;
        Ok(())
    };
    let money = json!({ "amount": 100, "currency": "EUR", "method": "card_ok" });
    gateway("/gateway/authorisations", &key, money).await?;
    let captured = json!({ "authorisation_key": key });
    gateway("/gateway/captures", &format!("{key}/capture"), captured).await?;
    let missing = Entry { kind: Kind::Good, told: Told::Accepted(Uuid::new_v4()), unknown: 0 };
    let log = [log, &[missing]].concat();
    let read = books::read(ground, &log, &mut BTreeSet::new(), Duration::ZERO).await;
    let (account, report) = read.context("the books cannot be read")?;
    ensure!(account.lost.len() == 1, "lost: {:?}", account.lost);
    ensure!(account.doubled.len() == 1, "doubled: {:?}", account.doubled);
    ensure!(!report.clean, "the auditor has not noticed the second payment");
    Ok(())
}
