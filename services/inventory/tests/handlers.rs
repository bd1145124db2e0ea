//! What the handlers do to the shelf, on a real database.
#![allow(clippy::unwrap_used)]

mod support;

use contracts::{
    Currency, EventEnvelope, Leg, Money, Outcome, SagaId,
    inventory::{Line, ReleaseStock, ReserveStock, StockRefusal},
    order::OrderConfirmed,
};
use inventory::product::Product;
use serde_json::Value;
use support::{Service, start};
use uuid::Uuid;
use worker::{Fault, testing::envelope};

fn order() -> SagaId {
    SagaId(Uuid::now_v7())
}

fn line(product: &str, quantity: i32) -> Line {
    Line { product_id: product.to_owned(), quantity }
}

fn confirmed(order: SagaId) -> OrderConfirmed {
    OrderConfirmed {
        order,
        customer_id: "cust_123".to_owned(),
        lines: Vec::new(),
        total: Money::new(1, Currency::new("EUR").unwrap()),
    }
}

fn where_it_is(product: &Product) -> (i64, i64, i64) {
    (product.free, product.reserved, product.shipped)
}

const STEP: &str = "reserve-stock";

/// Reserves; `None` when done, or why not.
async fn reserve(service: &Service, order: SagaId, lines: &[Line]) -> Option<StockRefusal> {
    let command = ReserveStock { order, lines: lines.to_vec() };
    let answered = service.bench.act(order, STEP, &command).await.unwrap();
    match answered.outcome {
        Outcome::Done => None,
        _ => Some(serde_json::from_str(&answered.body).unwrap()),
    }
}

async fn release(service: &Service, order: SagaId) -> Result<(), Fault> {
    let answered = service.bench.undo(order, STEP, &ReleaseStock { order }).await?;
    assert_eq!(answered.outcome, Outcome::Done);
    Ok(())
}

#[tokio::test]
async fn reserving_holds_every_line() {
    let service = start().await;
    let order = order();
    let lines = [line("prod_001", 2), line("prod_023", 3)];
    assert_eq!(reserve(&service, order, &lines).await, None);
    assert_eq!(where_it_is(&service.product("prod_001").await), (11_998, 2, 0));
    assert_eq!(where_it_is(&service.product("prod_023").await), (0, 3, 0));
    let holds = service.all(&format!("/api/v1/holds?order_id={order}&limit=1")).await;
    let shown: Vec<_> = holds.iter().map(|hold| (&hold["product_id"], &hold["status"])).collect();
    let (first, second) = (Value::from("prod_001"), Value::from("prod_023"));
    assert_eq!(shown, [(&first, &Value::from("held")), (&second, &Value::from("held"))]);
}

#[tokio::test]
async fn a_product_named_twice_is_held_as_one() {
    let service = start().await;
    let order = order();
    let lines = [line("prod_023", 1), line("prod_023", 2)];
    assert_eq!(reserve(&service, order, &lines).await, None);
    assert_eq!(where_it_is(&service.product("prod_023").await), (0, 3, 0));
}

#[tokio::test]
async fn too_little_of_one_line_refuses_all_of_them_by_name() {
    let service = start().await;
    let order = order();
    let lines = [line("prod_001", 1), line("prod_023", 4)];
    let refusal = reserve(&service, order, &lines).await;
    let product_id = "prod_023".to_owned();
    assert_eq!(refusal, Some(StockRefusal::OutOfStock { product_id, wanted: 4, free: 3 }));
    assert_eq!(where_it_is(&service.product("prod_001").await), (12_000, 0, 0));
    assert!(service.all(&format!("/api/v1/holds?order_id={order}")).await.is_empty());
}

#[tokio::test]
async fn an_unknown_product_is_refused_by_name() {
    let service = start().await;
    let order = order();
    let lines = [line("prod_001", 1), line("prod_999", 1)];
    let refusal = reserve(&service, order, &lines).await;
    let product_id = "prod_999".to_owned();
    assert_eq!(refusal, Some(StockRefusal::UnknownProduct { product_id }));
    assert_eq!(where_it_is(&service.product("prod_001").await), (12_000, 0, 0));
}

#[tokio::test]
async fn releasing_gives_everything_back_once() {
    let service = start().await;
    let order = order();
    let lines = [line("prod_001", 2), line("prod_023", 3)];
    assert_eq!(reserve(&service, order, &lines).await, None);
    for _ in 0..2 {
        release(&service, order).await.unwrap();
        assert_eq!(where_it_is(&service.product("prod_001").await), (12_000, 0, 0));
        assert_eq!(where_it_is(&service.product("prod_023").await), (3, 0, 0));
    }
}

#[tokio::test]
async fn releasing_what_was_never_held_is_done_and_changes_nothing() {
    let service = start().await;
    let order = order();
    release(&service, order).await.unwrap();
    assert_eq!(service.free("prod_023").await, 3);
}

#[tokio::test]
async fn a_confirmed_order_ships_what_it_holds_once() {
    let service = start().await;
    let order = order();
    assert_eq!(reserve(&service, order, &[line("prod_023", 2)]).await, None);
    for new in [true, false] {
        assert_eq!(service.bench.tell(order, &confirmed(order)).await.unwrap(), new);
        assert_eq!(where_it_is(&service.product("prod_023").await), (1, 0, 2));
    }
}

#[tokio::test]
async fn stock_that_would_go_both_ways_is_a_fault_for_a_person_to_look_at() {
    let service = start().await;
    let (shipped, released, unknown) = (order(), order(), order());
    for order in [shipped, released] {
        assert_eq!(reserve(&service, order, &[line("prod_023", 1)]).await, None);
    }
    service.bench.tell(shipped, &confirmed(shipped)).await.unwrap();
    release(&service, released).await.unwrap();
    let before = service.product("prod_023").await;

    assert!(!release(&service, shipped).await.unwrap_err().is_transient());
    for order in [released, unknown] {
        let fault = service.bench.tell(order, &confirmed(order)).await.unwrap_err();
        assert!(!fault.is_transient(), "{fault}");
    }
    assert_eq!(service.product("prod_023").await, before);
}

#[tokio::test]
async fn a_nonsensical_quantity_is_a_fault_and_moves_nothing() {
    let service = start().await;
    let order = order();
    let command = ReserveStock { order, lines: vec![line("prod_001", -5)] };
    service.bench.act(order, STEP, &command).await.unwrap_err();
    assert_eq!(where_it_is(&service.product("prod_001").await), (12_000, 0, 0));
}

#[tokio::test]
async fn fifty_orders_at_once_get_the_last_units_and_not_one_more() {
    let service = start().await;
    let attempts = (0..50).map(|number| {
        let service = service.clone();
        tokio::spawn(async move {
            let order = order();
            // Half of them name the products the other way round.
            let mut lines = vec![line("prod_001", 1), line("prod_023", 1)];
            if number % 2 == 0 {
                lines.reverse();
            }
            match reserve(&service, order, &lines).await {
                None => true,
                Some(refusal) => {
                    let product_id = "prod_023".to_owned();
                    assert_eq!(
                        refusal,
                        StockRefusal::OutOfStock { product_id, wanted: 1, free: 0 }
                    );
                    false
                }
            }
        })
    });
    let mut reserved = 0;
    for attempt in attempts.collect::<Vec<_>>() {
        reserved += i64::from(attempt.await.unwrap());
    }
    assert_eq!(reserved, 3);
    assert_eq!(where_it_is(&service.product("prod_023").await), (0, 3, 0));
    assert_eq!(where_it_is(&service.product("prod_001").await), (11_997, 3, 0));
}

#[tokio::test]
async fn many_orders_are_held_and_shipped_at_one_go_as_each_alone() {
    let service = start().await;
    let orders: Vec<_> = (1..=3).map(|quantity| (order(), quantity)).collect();
    let commands: Vec<_> = orders
        .iter()
        .map(|(order, quantity)| {
            let lines = vec![line("prod_001", *quantity), line("prod_002", 1)];
            envelope(*order, STEP, Leg::Action, &ReserveStock { order: *order, lines }).unwrap()
        })
        .collect();
    for result in service.bench.handle_all(&commands).await {
        assert_eq!(result.unwrap().outcome, Outcome::Done);
    }
    assert_eq!(where_it_is(&service.product("prod_001").await), (11_994, 6, 0));
    assert_eq!(where_it_is(&service.product("prod_002").await), (9_997, 3, 0));
    let told = |(order, _): &(SagaId, i32)| EventEnvelope::of(*order, &confirmed(*order)).unwrap();
    let events: Vec<_> = orders.iter().map(told).collect();
    for new in [true, false] {
        for heard in service.bench.tell_all(&events).await.unwrap() {
            assert_eq!(heard.unwrap(), new);
        }
        assert_eq!(where_it_is(&service.product("prod_001").await), (11_994, 0, 6));
    }
}

#[tokio::test]
async fn of_many_orders_only_those_are_refused_for_which_too_little_is_left() {
    let service = start().await;
    let commands = [2, 2, 1, 1].map(|quantity| {
        let order = order();
        let lines = vec![line("prod_001", 1), line("prod_023", quantity)];
        envelope(order, STEP, Leg::Action, &ReserveStock { order, lines }).unwrap()
    });
    let results = service.bench.handle_all(&commands).await;
    let bodies: Vec<_> = results.into_iter().map(|result| result.unwrap().body).collect();
    let refused = |wanted, free| {
        let product_id = "prod_023".to_owned();
        serde_json::to_string(&StockRefusal::OutOfStock { product_id, wanted, free }).unwrap()
    };
    assert_eq!(bodies, ["null".to_owned(), refused(2, 1), "null".to_owned(), refused(1, 0)]);
    assert_eq!(where_it_is(&service.product("prod_023").await), (0, 3, 0));
    assert_eq!(where_it_is(&service.product("prod_001").await), (11_998, 2, 0));
}
