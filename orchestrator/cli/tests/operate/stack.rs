//! Before the real system.

use crate::program::Program;
use anyhow::{Context, Result, ensure};
use contracts::SagaId;
use serde_json::Value;
use testkit::Stack;

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_and_moves_everything_from_a_terminal() -> Result<()> {
    let mut stack = Stack::start(&[]).await?;
    let done = everything(&mut stack).await;
    stack.explain(done).await?;
    stack.assert_conserved().await
}

async fn everything(stack: &mut Stack) -> Result<()> {
    let program = Program::default()
        .with("ORCHESTRATOR_URL", stack.url("orchestrator", "")?)
        .with("ORDERS_URL", stack.url("order", "/")?)
        .with("USER", "ada");
    an_order_is_watched_to_its_end(&program).await?;
    an_order_that_is_refused_ends_with_1_and_the_reason(&program).await?;
    every_answer_can_be_had_as_json(&program).await?;
    tables_fit_and_cut_no_id(&program).await?;
    what_cannot_be_is_refused_in_a_line(&program).await?;
    a_saga_is_cancelled_after_a_look(stack, &program).await?;
    many_are_cancelled_after_a_look(stack, &program).await?;
    a_load_ends_and_so_do_its_orders(stack, &program).await
}

async fn an_order_is_watched_to_its_end(program: &Program) -> Result<()> {
    let watched = program.run("orders submit --item prod_002:2 --watch").await?.ends_with(0)?;
    let watched = watched.says("→ inventory.reserve-stock")?.says("■ completed")?;
    ensure!(watched.says("is confirmed")?.err.is_empty());
    Ok(())
}

async fn an_order_that_is_refused_ends_with_1_and_the_reason(program: &Program) -> Result<()> {
    let line = "orders submit --method card_declined --watch --within 60s";
    let watched = program.run(line).await?.ends_with(1)?;
    watched.says("■ compensated")?.says("why: authorise-payment refused")?.says("is cancelled")?;
    let lines = program.run(&format!("{line} --json")).await?.ends_with(1)?;
    let last: Value = serde_json::from_str(lines.out.lines().last().context("it said nothing")?)?;
    ensure!(last["state"] == "compensated" && last["history"].is_array(), "{last}");
    Ok(())
}

async fn every_answer_can_be_had_as_json(program: &Program) -> Result<()> {
    let order = program.json("orders submit --key once").await?;
    let again = program.json("orders submit --key once").await?;
    ensure!(order == again, "the same key is the same order: {order} {again}");
    let id = order["order_id"].as_str().context("no order_id")?;
    let shown = program.json(&format!("sagas show {id} --wait 60s")).await?;
    ensure!(shown["saga_id"] == id && shown["state"] == "completed", "{shown}");
    let explained = program.json(&format!("sagas explain {id}")).await?;
    ensure!(explained["saga_id"] == id && explained["verbs"].is_array(), "{explained}");
    let order = program.json(&format!("orders show {id}")).await?;
    ensure!(order["order_id"] == id, "{order}");
    for (line, keys) in [
        ("sagas list --state completed", vec!["items"]),
        ("sagas counts", vec!["in_flight", "by"]),
        ("definitions list", vec!["items"]),
        ("definitions show place-order", vec!["steps"]),
        ("definitions diagram place-order", vec!["diagram"]),
        ("dead-letters list", vec!["items"]),
        ("dead-letters groups", vec!["items"]),
        ("audit-trail", vec!["items"]),
        ("top", vec!["counts", "parked", "open"]),
    ] {
        let answer = program.json(line).await?;
        for key in keys {
            ensure!(!answer[key].is_null(), "sagactl {line} --json has no {key}: {answer}");
        }
    }
    let all = program.json("sagas list --limit 1").await?;
    ensure!(all["items"].as_array().map(Vec::len) == Some(1) && all["next"].is_string(), "{all}");
    Ok(())
}

async fn tables_fit_and_cut_no_id(program: &Program) -> Result<()> {
    let narrow = program.clone().with("COLUMNS", "60");
    for line in [
        "sagas list",
        "sagas counts",
        "definitions list",
        "definitions show place-order",
        "audit-trail",
        "top",
    ] {
        let ended = narrow.run(line).await?.ends_with(0)?;
        let wide = ended.out.lines().find(|line| line.chars().count() > 60);
        ensure!(wide.is_none(), "sagactl {line}: {wide:?} in {ended:#?}");
        ensure!(!ended.out.contains('\x1b'), "colours for nobody: {ended:#?}");
    }
    let listed = narrow.run("sagas list --state compensated").await?.ends_with(0)?;
    for line in listed.out.lines().skip(1) {
        let id = line.split(' ').next().unwrap_or_default();
        id.parse::<SagaId>().with_context(|| format!("an id is cut: {line}"))?;
    }
    Ok(())
}

async fn what_cannot_be_is_refused_in_a_line(program: &Program) -> Result<()> {
    let ended = program.json("sagas list --state completed --limit 1").await?;
    let id = ended["items"][0]["saga_id"].as_str().context("no saga has completed")?;
    let cancel = program.run(&format!("sagas cancel {id} --reason late")).await?.ends_with(1)?;
    cancel.says("ended")?.says("nothing can be asked of it now")?;
    let nobody = "00000000-0000-4000-8000-000000000001";
    for line in [format!("sagas show {nobody}"), format!("orders show {nobody}")] {
        program.run(&line).await?.ends_with(1)?.says(nobody)?;
    }
    let wrong = program.run("orders submit --item prod_999 --country germany").await?;
    wrong.ends_with(2)?.says("ship_to.country:")?.says("items[0].product_id: no such product")?;
    Ok(())
}

/// Orders whose shipment nobody books yet.
async fn waiting(stack: &mut Stack, program: &Program, customer: &str) -> Result<SagaId> {
    let order = program.json(&format!("orders submit --customer {customer}")).await?;
    let id = order["saga_id"].as_str().context("no saga_id")?.parse()?;
    let asked = |saga: &Value| saga["waits"][0]["step"] == "book-shipment";
    stack.wait_until(id, "shipping to be asked", asked).await?;
    Ok(id)
}

async fn a_saga_is_cancelled_after_a_look(stack: &mut Stack, program: &Program) -> Result<()> {
    stack.stop("shipping").await?;
    let id = waiting(stack, program, "single").await?;
    let cancel = format!("sagas cancel {id} --reason unwanted");
    let why = program.run(&format!("sagas explain {id}")).await?.ends_with(0)?;
    why.says("book-shipment (shipping)")?.says("cancel")?;
    let look = program.run(&format!("{cancel} --dry-run")).await?.ends_with(0)?;
    look.says("nothing was done")?.says("shipping.")?;
    let saga = stack.saga(id).await?;
    ensure!(saga["state"] == "running", "a look moved it: {saga}");
    program.run(&cancel).await?.ends_with(0)?.says("accepted")?;
    stack.restart("shipping").await?;
    let watched = program.run(&format!("sagas watch {id} --within 60s")).await?.ends_with(1)?;
    watched.says("cancel requested")?.says("unwanted")?;
    let trail = program.json(&format!("audit-trail --saga {id} --by ada")).await?;
    ensure!(trail["items"][0]["reason"] == "unwanted", "{trail}");
    Ok(())
}

async fn many_are_cancelled_after_a_look(stack: &mut Stack, program: &Program) -> Result<()> {
    stack.stop("shipping").await?;
    let mut all = Vec::new();
    for _ in 0..3 {
        all.push(waiting(stack, program, "many").await?);
    }
    let cancel = "sagas cancel --text many --open --reason unwanted";
    program.run(&format!("{cancel} --dry-run")).await?.ends_with(0)?.says("3 of 3")?;
    program.run(&format!("{cancel} --yes")).await?.ends_with(0)?.says("accepted for 3 of 3")?;
    stack.restart("shipping").await?;
    for id in all {
        stack.wait_saga(id, "compensated").await?;
    }
    program.run(&format!("{cancel} --yes")).await?.ends_with(0)?.says("finds no saga")?;
    Ok(())
}

async fn a_load_ends_and_so_do_its_orders(stack: &mut Stack, program: &Program) -> Result<()> {
    let before = stack.list("order", "/api/v1/orders").await?.len();
    let line = "load --rate 5 --for 4s --declines 30% --seed 7 --settle 90s --json";
    let ended = program.run(line).await?;
    let report = ended.json()?;
    let count = |name: &str| report[name].as_u64().unwrap_or_default();
    let refused: u64 = report["not_accepted"]
        .as_object()
        .context("no not_accepted")?
        .values()
        .filter_map(Value::as_u64)
        .sum();
    // A machine with more to do than it can may answer that it cannot right now: it is counted.
    ended.ends_with(if refused == 0 { 0 } else { 3 })?;
    let accepted = count("accepted");
    ensure!(accepted > 0 && accepted + refused == 20 && count("open") == 0, "{report}");
    ensure!(count("completed") + count("compensated") == accepted, "{report}");
    ensure!(report["end_ms"]["p99"].is_u64(), "{report}");
    let orders = stack.list("order", "/api/v1/orders").await?.len() - before;
    ensure!(orders as u64 >= accepted && orders <= 20, "{orders} orders: {report}");
    Ok(())
}
