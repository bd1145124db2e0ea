//! Changes by hand to one database each, and what must be said of them.

use crate::{Broken, broken, look, world::World};
use anyhow::Result;
use uuid::Uuid;

struct Corruption {
    service: &'static str,
    sql: String,
    /// All that may be found.
    found: Vec<(&'static str, Option<Uuid>)>,
}

fn of(
    service: &'static str,
    sql: impl Into<String>,
    invariant: &'static str,
    saga: impl Into<Option<Uuid>>,
) -> Corruption {
    Corruption { service, sql: sql.into(), found: vec![(invariant, saga.into())] }
}

/// What goes wrong, a line each.
pub async fn each_is_found(world: &World) -> Result<Vec<String>> {
    let mut failures = Vec::new();
    for corruption in all(world) {
        let Corruption { service, sql, found } = corruption;
        let tampered = world.tampered(service, &sql).await?;
        let report = look(tampered.sources()).await?;
        let wanted: Broken =
            found.into_iter().map(|(invariant, saga)| (invariant.to_owned(), saga)).collect();
        let is = broken(&report);
        let verdict = if is == wanted { "found" } else { "WRONG" };
        eprintln!("{verdict}  {service}: {sql}");
        eprint!("{}", report.table(false));
        if is != wanted {
            failures.push(format!("{service}: {sql}\n  wanted {wanted:?}\n  found {is:?}"));
        }
        tampered.remove().await?;
    }
    Ok(failures)
}

fn all(world: &World) -> Vec<Corruption> {
    [
        journal(world),
        letters(world),
        orders(world),
        stock(world),
        money(world),
        inboxes(world),
        events(world),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Dead letters that were collected.
fn letters(world: &World) -> Vec<Corruption> {
    let (completed, nobody) = (world.completed.0, Uuid::from_u128(9));
    let letter = |saga: Uuid, reason: &str, state: &str| {
        format!(
            "INSERT INTO dead_letter (id, participant, died_in, message_kind, saga_id, reason, error,
                    tries, fingerprint, body, headers, properties, dead_at, died_after, state, remark)
             VALUES (gen_random_uuid(), 'payment', 'payment.commands', 'command', '{saga}',
                    '{reason}', 'e', 1, gen_random_uuid(), '', '{{}}', '{{}}', now(), 0, '{state}', 'why')"
        )
    };
    let discard = format!(
        "INSERT INTO operator_action (audit_id, at, verb, reason, filter, accepted, text)
         VALUES (gen_random_uuid(), now(), 'discard', 'why', '{{}}', true, ''); {}",
        letter(nobody, "fault", "discarded")
    );
    let whole = |sql| Corruption { service: "orchestrator", sql, found: Vec::new() };
    vec![
        whole(letter(completed, "fault", "open")),
        whole(letter(nobody, "poison-not-json", "open")),
        whole(discard),
        of("orchestrator", letter(nobody, "fault", "open"), "kept-letter-has-its-saga", nobody),
        of("orchestrator", letter(completed, "unknown", "open"), "kept-letter-says-why", completed),
        of(
            "orchestrator",
            letter(completed, "fault", "discarded"),
            "kept-letter-is-accounted-for",
            completed,
        ),
    ]
}

fn journal(world: &World) -> Vec<Corruption> {
    let (completed, parked, declined) = (world.completed.0, world.parked.0, world.declined.0);
    let journal = "orchestrator";
    vec![
        Corruption {
            service: journal,
            sql: format!("DELETE FROM saga WHERE id = '{declined}'"),
            found: vec![
                ("history-has-its-saga", Some(declined)),
                ("order-has-its-saga", Some(declined)),
            ],
        },
        of(
            journal,
            format!(
                "DELETE FROM saga_event WHERE saga_id = '{completed}'; DELETE FROM saga WHERE id = '{completed}'"
            ),
            "order-has-its-saga",
            completed,
        ),
        // Removed were only sagas that ended before this one began.
        of(
            journal,
            format!(
                "INSERT INTO retention (ended_until, removed)
                 SELECT created_at - interval '10 s', 7 FROM saga WHERE id = '{completed}';
                 DELETE FROM saga_event WHERE saga_id = '{completed}'; DELETE FROM saga WHERE id = '{completed}'"
            ),
            "order-has-its-saga",
            completed,
        ),
        // A history goes with its saga, or something else took the saga away.
        Corruption {
            service: journal,
            sql: format!(
                "INSERT INTO retention (ended_until, removed) VALUES (now(), 7);
                 DELETE FROM saga WHERE id = '{declined}'"
            ),
            found: vec![
                ("history-has-its-saga", Some(declined)),
                ("order-has-its-saga", Some(declined)),
            ],
        },
        of(
            journal,
            format!(
                "UPDATE saga SET wake_at = now() - interval '10 minutes' WHERE id = '{parked}'"
            ),
            "saga-is-never-forgotten",
            parked,
        ),
        of(
            journal,
            format!("DELETE FROM saga_event WHERE saga_id = '{completed}' AND seq = 8"),
            "history-is-gapless",
            completed,
        ),
        of(
            journal,
            format!(
                "UPDATE saga_event SET seq = seq + 1 WHERE saga_id = '{declined}' AND seq = 6; UPDATE saga SET revision = 7 WHERE id = '{declined}'"
            ),
            "history-is-gapless",
            declined,
        ),
        of(
            journal,
            format!(
                "UPDATE saga_event SET outcome = 'refused' WHERE saga_id = '{completed}' AND step = 'open-order'"
            ),
            "history-is-legal",
            completed,
        ),
        of(
            journal,
            format!(
                "UPDATE saga_event SET event = 'resume-requested', step = NULL, leg = NULL WHERE saga_id = '{declined}' AND seq = 3"
            ),
            "history-is-legal",
            declined,
        ),
        of(
            journal,
            format!(
                "UPDATE saga SET steps = jsonb_set(steps, '{{notify-customer,attempt}}', '9') WHERE id = '{parked}'"
            ),
            "history-gives-the-state",
            parked,
        ),
        of(
            journal,
            format!(
                "UPDATE saga SET cause = jsonb_set(cause, '{{cause}}', '\"faulted\"') WHERE id = '{declined}'"
            ),
            "history-gives-the-state",
            declined,
        ),
    ]
}

fn orders(world: &World) -> Vec<Corruption> {
    let (completed, declined) = (world.completed.0, world.declined.0);
    vec![
        of(
            "order",
            format!("UPDATE orders SET status = 'pending' WHERE id = '{completed}'"),
            "order-agrees-with-its-saga",
            completed,
        ),
        of(
            "order",
            format!(
                "UPDATE orders SET status = 'pending', reason = NULL, cause = NULL WHERE id = '{declined}'"
            ),
            "order-agrees-with-its-saga",
            declined,
        ),
        of(
            "order",
            format!(
                "UPDATE orders SET items = jsonb_set(items, '{{0,price,amount}}', '1') WHERE id = '{completed}'"
            ),
            "order-total-is-its-items",
            completed,
        ),
        of(
            "order",
            "INSERT INTO outbox (message, at) VALUES ('{}', now() - interval '5 minutes')",
            "outbox-is-emptied",
            None,
        ),
    ]
}

fn stock(world: &World) -> Vec<Corruption> {
    let (completed, sold_out) = (world.completed.0, world.sold_out.0);
    let inventory = "inventory";
    vec![
        of(
            inventory,
            "UPDATE product SET free = free + 1 WHERE product_id = 'prod_001'",
            "stock-is-conserved",
            None,
        ),
        of(
            inventory,
            "UPDATE product SET free = free - 1, reserved = reserved + 1 WHERE product_id = 'prod_001'",
            "stock-reserved-is-held",
            None,
        ),
        of(
            inventory,
            "UPDATE product SET free = free - 1, shipped = shipped + 1 WHERE product_id = 'prod_001'",
            "stock-shipped-is-gone",
            None,
        ),
        of(
            inventory,
            "UPDATE product SET free = free + 5, restocked = restocked + 5 WHERE product_id = 'prod_001'",
            "stock-restocked-is-received",
            None,
        ),
        of(
            inventory,
            format!(
                "UPDATE hold SET status = 'held' WHERE order_id = '{completed}' AND product_id = 'prod_005';
                 UPDATE product SET shipped = shipped - 2, reserved = reserved + 2 WHERE product_id = 'prod_005'"
            ),
            "holds-agree-with-the-saga",
            completed,
        ),
        of(
            inventory,
            format!(
                "UPDATE hold SET quantity = 3 WHERE order_id = '{completed}' AND product_id = 'prod_005';
                 UPDATE product SET shipped = shipped + 1, free = free - 1 WHERE product_id = 'prod_005'"
            ),
            "holds-are-the-order",
            completed,
        ),
        of(
            inventory,
            format!("INSERT INTO hold (order_id, product_id, quantity, status) VALUES ('{sold_out}', 'prod_024', 1, 'released')"),
            "effect-has-its-inbox-row",
            sold_out,
        ),
        of(
            inventory,
            format!(
                "INSERT INTO hold (order_id, product_id, quantity) VALUES ('{NOBODY}', 'prod_001', 1);
                 UPDATE product SET free = free - 1, reserved = reserved + 1 WHERE product_id = 'prod_001'"
            ),
            "effect-has-its-saga",
            NOBODY,
        ),
    ]
}

fn money(world: &World) -> Vec<Corruption> {
    let (completed, uncapturable) = (world.completed.0, world.uncapturable.0);
    let withdrawn = world.withdrawn.0;
    vec![
        of(
            "payment",
            format!("UPDATE payment SET amount = amount - 1 WHERE order_id = '{completed}'"),
            "payment-agrees-with-the-saga",
            completed,
        ),
        Corruption {
            service: "payment",
            sql: format!(
                "UPDATE payment SET status = 'authorised', authorisation = 'auth_lost' WHERE order_id = '{withdrawn}'"
            ),
            found: vec![
                ("payment-agrees-with-the-saga", Some(withdrawn)),
                ("payment-is-the-gateways", Some(withdrawn)),
            ],
        },
        of(
            "payment",
            format!(
                "UPDATE payment SET authorisation = 'auth_of_another' WHERE order_id = '{completed}'"
            ),
            "payment-is-the-gateways",
            completed,
        ),
        of(
            "payment",
            format!(
                "INSERT INTO payment (order_id, amount, currency, method) VALUES ('{NOBODY}', 1, 'EUR', 'card_ok')"
            ),
            "effect-has-its-saga",
            NOBODY,
        ),
        of(
            "shipping",
            format!("UPDATE shipment SET status = 'cancelled' WHERE order_id = '{completed}'"),
            "shipment-agrees-with-the-saga",
            completed,
        ),
        Corruption {
            service: "shipping",
            sql: format!(
                "UPDATE shipment SET status = 'booked', tracking = 'TRK1' WHERE order_id = '{uncapturable}'"
            ),
            found: vec![
                ("shipment-agrees-with-the-saga", Some(uncapturable)),
                ("shipment-is-the-carriers", Some(uncapturable)),
            ],
        },
        of(
            "shipping",
            format!(
                "UPDATE shipment SET shipment_key = 'another/book-shipment/action' WHERE order_id = '{completed}'"
            ),
            "shipment-is-the-carriers",
            completed,
        ),
    ]
}

fn inboxes(world: &World) -> Vec<Corruption> {
    let (completed, undeliverable) = (world.completed.0, world.undeliverable.0);
    let (withdrawn, declined) = (world.withdrawn.0, world.declined.0);
    vec![
        of(
            "inventory",
            format!("DELETE FROM inbox WHERE saga_id = '{completed}'"),
            "inbox-agrees-with-the-journal",
            completed,
        ),
        of(
            "shipping",
            format!(
                "UPDATE inbox SET outcome = 'done' WHERE saga_id = '{undeliverable}' AND leg = 'action'"
            ),
            "inbox-agrees-with-the-journal",
            undeliverable,
        ),
        of(
            "payment",
            format!("DELETE FROM inbox WHERE saga_id = '{withdrawn}' AND leg = 'compensation'"),
            "inbox-agrees-with-the-journal",
            withdrawn,
        ),
        of(
            "notification",
            format!(
                "INSERT INTO inbox (saga_id, step, leg, kind, outcome) VALUES ('{declined}', 'notify-customer', 'action', 'answer', 'done')"
            ),
            "inbox-agrees-with-the-journal",
            declined,
        ),
        of(
            "payment",
            format!(
                "UPDATE inbox SET reply = '{{\"authorisation\": \"auth_other\"}}' WHERE saga_id = '{completed}' AND step = 'authorise-payment'"
            ),
            "reply-is-the-inboxes",
            completed,
        ),
        of(
            "shipping",
            format!(
                "INSERT INTO inbox (saga_id, step, leg, kind) VALUES ('{NOBODY}', 'book-shipment', 'action', 'intent')"
            ),
            "effect-has-its-saga",
            NOBODY,
        ),
    ]
}

fn events(world: &World) -> Vec<Corruption> {
    let (completed, declined) = (world.completed.0, world.declined.0);
    vec![
        of(
            "notification",
            format!(
                "UPDATE notification SET status = 'sending', sent_at = NULL WHERE order_id = '{completed}'"
            ),
            "customer-is-told",
            completed,
        ),
        of(
            "analytics",
            format!(
                "UPDATE orders SET amount = amount + 1 WHERE order_id = '{completed}';
                 UPDATE revenue SET amount = amount + 1"
            ),
            "ending-is-counted",
            completed,
        ),
        of(
            "analytics",
            format!(
                "UPDATE orders SET status = 'pending' WHERE order_id = '{declined}';
                 UPDATE totals SET cancelled = cancelled - 1;
                 UPDATE failure SET count = count - 1 WHERE cause = 'authorise-payment'"
            ),
            "ending-is-counted",
            declined,
        ),
        of(
            "analytics",
            "UPDATE totals SET confirmed = confirmed - 1",
            "counters-are-their-orders",
            None,
        ),
    ]
}

/// Of no saga.
const NOBODY: Uuid = Uuid::from_u128(0x0000_0000_0000_4000_8000_0000_0000_0b0d);
