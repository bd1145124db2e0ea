use super::*;
use serde_json::json;

const PLAIN: Paint = Paint { colours: false };

#[test]
fn a_saga_tells_what_happened_what_it_led_to_and_where_its_steps_stand() {
    let saga = json!({
        "saga_id": "01a1fd9e-895a-75f4-a331-8138ef1382a9",
        "definition": "trip", "version": 3, "state": "compensating",
        "cause": { "text": "pay refused: no money" },
        "parked": { "step": "hotel", "reason": "its compensation keeps failing" },
        "created_at": "2026-01-01T00:00:00Z", "ended_at": null,
        "steps": [
            { "name": "hotel", "kind": "compensatable", "status": "compensating", "attempts": 1,
              "compensation": { "attempts": 2 } },
            { "name": "pay", "kind": "pivot", "status": "refused", "attempts": 2 },
            { "name": "mail", "kind": "retriable", "status": "pending", "attempts": 0 },
        ],
        "history": [
            { "seq": 1, "at": "2026-01-01T00:00:00Z", "event": "started",
              "then": [{ "sent": "hotel.book", "step": "hotel", "leg": "action", "attempt": 1 }] },
            { "seq": 2, "at": "2026-01-01T00:00:00.02Z", "event": "replied", "step": "hotel",
              "leg": "action", "attempt": 1, "outcome": "done",
              "then": [{ "sent": "bank.pay", "step": "pay", "leg": "action", "attempt": 1 }] },
            { "seq": 3, "at": "2026-01-01T00:00:30.02Z", "event": "timed-out", "step": "pay",
              "leg": "action", "attempt": 1,
              "then": [{ "sent": "bank.pay", "step": "pay", "leg": "action", "attempt": 2 }] },
            { "seq": 4, "at": "2026-01-01T00:00:31Z", "event": "replied", "step": "pay",
              "leg": "action", "attempt": 2, "outcome": "refused", "body": { "reason": "no money" },
              "then": [{ "sent": "hotel.cancel", "step": "hotel", "leg": "compensation", "attempt": 1 }] },
            { "seq": 5, "at": "2026-01-01T00:00:32Z", "event": "replied", "step": "hotel",
              "leg": "compensation", "attempt": 1, "outcome": "faulted", "body": { "error": "gone" },
              "then": [{ "rests": "hotel", "leg": "compensation", "attempt": 2 }] },
            { "seq": 6, "at": "2026-01-01T00:00:33Z", "event": "rested", "step": "hotel",
              "leg": "compensation", "attempt": 2,
              "then": [{ "sent": "hotel.cancel", "step": "hotel", "leg": "compensation", "attempt": 2 }] },
            { "seq": 7, "at": "2026-01-01T00:00:34Z", "event": "replied", "step": "hotel",
              "leg": "compensation", "attempt": 2, "outcome": "faulted", "body": { "error": "gone" },
              "then": [{ "parked": "hotel", "leg": "compensation" }] },
            { "seq": 8, "at": "2026-01-01T01:00:00Z", "event": "resume-requested",
              "body": { "reason": "the hotel is back" }, "then": [] },
        ],
    });
    insta::assert_snapshot!(story(&saga, PLAIN), @r#"

    trip v3  01a1fd9e-895a-75f4-a331-8138ef1382a9  compensating
      why: pay refused: no money
      parked at hotel: its compensation keeps failing

         0.000 s  started
                    → hotel.book
         0.020 s  hotel done
                    → bank.pay
        30.020 s  pay got no answer (attempt 1)
                    → bank.pay (attempt 2)
        31.000 s  pay refused: {"reason":"no money"}
                    → hotel.cancel
        32.000 s  undo hotel faulted: {"error":"gone"}
                    … hotel rests
        33.000 s  undo hotel is asked again
                    → hotel.cancel (attempt 2)
        34.000 s  undo hotel faulted: {"error":"gone"}
                    ‖ hotel is parked
      3600.000 s  resume requested: the hotel is back

      hotel                compensatable  compensating  attempts 1, undone in 2
      pay                  pivot          refused       attempts 2
      mail                 retriable      pending
    "#);
}

#[test]
fn told_as_it_happens_no_line_is_missing_and_none_comes_twice() {
    let line = |seq: u64| json!({ "seq": seq, "event": "started", "then": [] });
    let mut told = Told::default();
    let mut lines = 0;
    for until in [1, 1, 3, 2, 5] {
        let history: Vec<_> = (1..=until).map(line).collect();
        lines += told.news(&json!({ "history": history }), PLAIN).lines().count();
    }
    assert_eq!(lines, 5);
}
