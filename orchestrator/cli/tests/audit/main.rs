//! The auditor before the real system: nothing to say against it, and nothing overlooked once
//! somebody tampers with its books.

mod corruptions;
mod outside;
mod tampering;
mod world;

use anyhow::{Result, ensure};
use orchestrator::retention;
use sagactl::audit::{self, Options, Report, Sources};
use sqlx::PgPool;
use std::{collections::BTreeSet, time::Duration};
use uuid::Uuid;
use world::World;

/// An invariant and the saga that breaks it.
type Broken = BTreeSet<(String, Option<Uuid>)>;

#[tokio::test(flavor = "multi_thread")]
async fn the_auditor_finds_every_corruption_and_nothing_else() -> Result<()> {
    let mut world = World::with_every_ending().await?;
    nothing_is_wrong_while_orders_go_through(&world).await?;
    world.stop_services().await?;
    let report = look(&world.sources()?).await?;
    ensure!(report.clean && report.not_audited.is_empty(), "{}", report.table(false));
    ensure!(report.orders >= 10, "{} orders", report.orders);

    a_flood_is_counted_over_many_pages(&world).await?;
    an_order_that_was_withdrawn_before_it_began_needs_no_saga(&world).await?;
    only_the_young_are_looked_at(&world).await?;
    what_is_not_given_is_not_passed(&world).await?;
    what_was_removed_is_not_taken_for_lost(&world).await?;
    let mut failures = corruptions::each_is_found(&world).await?;
    failures.extend(outside::each_is_found(&world).await?);
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}

/// One look, for books that nobody writes to.
async fn look(sources: &Sources) -> Result<Report> {
    Ok(audit::run(sources, &options()).await?)
}

fn options() -> Options {
    Options { settle: Duration::ZERO, attempts: Some(world::ATTEMPTS), ..Options::default() }
}

fn broken(report: &Report) -> Broken {
    let violations = report.violations.iter();
    violations.map(|violation| (violation.invariant.to_owned(), violation.saga)).collect()
}

async fn nothing_is_wrong_while_orders_go_through(world: &World) -> Result<()> {
    let options = Options { settle: Duration::from_secs(40), ..options() };
    let ordering = async {
        for quantity in 1..=20 {
            world.stack.order_paid_with("card_ok", quantity).await?;
        }
        anyhow::Ok(())
    };
    let sources = world.sources()?;
    let auditing = async {
        let mut reports = Vec::new();
        for _ in 0..5 {
            reports.push(audit::run(&sources, &options).await?);
        }
        anyhow::Ok(reports)
    };
    let ((), reports) = tokio::try_join!(ordering, auditing)?;
    for report in reports {
        ensure!(report.clean, "{}", report.table(false));
    }
    Ok(())
}

async fn a_flood_is_counted_over_many_pages(world: &World) -> Result<()> {
    let flood = world
        .tampered(
            "order",
            "INSERT INTO orders (id, customer_id, items, amount, currency, payment_method, ship_to)
             SELECT gen_random_uuid(), 'nobody', '[]', 0, 'EUR', 'card_ok', '{}'
               FROM generate_series(1, 2345)",
        )
        .await?;
    let report = look(flood.sources()).await?;
    let found = report.violations.len() + report.more;
    ensure!(found == 2345, "{found} of 2345 orders without a saga are found");
    ensure!(broken(&report).iter().all(|(name, _)| name == "order-has-its-saga"));
    flood.remove().await
}

async fn an_order_that_was_withdrawn_before_it_began_needs_no_saga(world: &World) -> Result<()> {
    let withdrawn = world
        .tampered(
            "order",
            "INSERT INTO orders
                (id, customer_id, items, amount, currency, payment_method, ship_to, status, reason, cause)
             VALUES (gen_random_uuid(), 'nobody', '[]', 0, 'EUR', 'card_ok', '{}',
                     'cancelled', 'cancelled by the customer', 'cancelled')",
        )
        .await?;
    let report = look(withdrawn.sources()).await?;
    ensure!(report.clean, "{}", report.table(false));
    withdrawn.remove().await
}

async fn only_the_young_are_looked_at(world: &World) -> Result<()> {
    let id = world.completed.0;
    let tampered = world
        .tampered(
            "orchestrator",
            &format!(
                "UPDATE saga SET created_at = now() - interval '2 hours', wake_at = now()
                  WHERE id = '{id}'"
            ),
        )
        .await?;
    ensure!(!look(tampered.sources()).await?.clean);
    let young = Options { since: Some(Duration::from_secs(3_600)), ..options() };
    let report = audit::run(tampered.sources(), &young).await?;
    ensure!(report.clean, "{}", report.table(false));
    tampered.remove().await
}

async fn what_was_removed_is_not_taken_for_lost(world: &World) -> Result<()> {
    let copy = world.tampered("orchestrator", "SELECT 1").await?;
    let journal = PgPool::connect(copy.url.as_str()).await?;
    let open = "SELECT count(*) FROM saga WHERE ended_at IS NULL";
    let open: i64 = sqlx::query_scalar(open).fetch_one(&journal).await?;
    while retention::remove(&journal, Duration::ZERO, 3).await? > 0 {}
    journal.close().await;
    let report = look(copy.sources()).await?;
    ensure!(report.clean, "{}", report.table(false));
    ensure!(i64::try_from(report.sagas)? == open, "{} are left of {open} open", report.sagas);
    copy.remove().await
}

async fn what_is_not_given_is_not_passed(world: &World) -> Result<()> {
    let journal = world.database("orchestrator")?;
    let report = look(&Sources::none()?.with_database("orchestrator", journal)).await?;
    ensure!(report.clean, "{}", report.table(false));
    let not: BTreeSet<_> = report.not_audited.iter().map(|not| not.what.as_str()).collect();
    for name in ["order-has-its-saga", "stock-is-conserved", "dead-letter-has-its-saga"] {
        ensure!(not.contains(name), "{name} is not listed as not audited");
    }
    ensure!(!not.contains("history-is-legal"), "the journal alone was given");
    let nobody = Sources::none()?.with_database("orchestrator", world.unreachable());
    ensure!(audit::run(&nobody, &options()).await.is_err(), "an audit of nothing is no audit");
    Ok(())
}
