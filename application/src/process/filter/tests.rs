use gosight_domain::{Event, EventId, EventName, ProjectId, Timestamp};
use serde_json::json;

use super::*;

fn event() -> Event {
    let payload = json!({"price": 9.5, "count": 3, "name": "Kettle", "labels": ["a", "b"], "item": {"id": "p-1"},
            "gift": true, "order": 9_007_199_254_740_993_u64});
    Event {
        payload: JsonObject::from_value(&payload),
        ..Event::new(
            EventId::from_uuid(uuid::Uuid::from_u128(1)),
            ProjectId::new("p").unwrap(),
            EventName::new("purchase").unwrap(),
            Timestamp::from_millis(0),
        )
    }
}

/// What `set` says about `event`, and what it made of it.
fn apply(set: &FilterSet, event: Event) -> (Verdict, Event) {
    let mut decoded = DecodedEvent::new(event).unwrap();
    let verdict = set.apply(&mut decoded);
    (verdict, decoded.into_event())
}

#[expect(clippy::needless_pass_by_value, reason = "`json!` makes values")]
fn rule(name: &str, when: Value, action: Value) -> FilterRuleConfig {
    serde_json::from_value(json!({"name": name, "when": when, "action": action})).unwrap()
}

#[expect(clippy::needless_pass_by_value, reason = "`json!` makes values")]
fn matches(field: &str, op: &str, value: Value) -> bool {
    let set =
        FilterSet::new(&[rule("r", json!([{"field": field, "op": op, "value": value}]), json!("block"))]);
    apply(&set.unwrap(), event()).0 != Verdict::Pass
}

#[test]
fn every_operator_compares() {
    for (field, op, value, expected) in [
        ("payload.price", "eq", json!(9.5), true),
        ("payload.price", "eq", json!("9.5"), false),
        ("payload.gift", "eq", json!(true), true),
        ("payload.price", "ne", json!(9), true),
        ("payload.price", "gt", json!(9), true),
        ("payload.price", "gte", json!(9.5), true),
        ("payload.price", "lt", json!(9.5), false),
        ("payload.price", "lte", json!(9.5), true),
        ("payload.price", "between", json!([9, 10]), true),
        ("payload.price", "between", json!([1, 2]), false),
        ("payload.name", "contains", json!("ett"), true),
        ("payload.labels", "contains", json!("b"), true),
        ("payload.labels", "contains", json!("c"), false),
        ("payload.name", "matches", json!("^K.*e$"), true),
        ("event_type", "in", json!(["purchase", "refund"]), true),
        ("event_type", "not_in", json!(["purchase"]), false),
        ("payload.item.id", "exists", json!(null), true),
        ("payload.item.sku", "exists", json!(null), false),
        ("payload.item.sku", "missing", json!(null), true),
        ("user_id", "ne", json!("u"), true),
        ("user_id", "eq", json!("u"), false),
        ("payload.price", "in", json!([1, 9.5]), true),
        ("payload.price", "gt", json!(9.5), false),
        ("payload.price", "gte", json!(9.6), false),
        ("payload.price", "lte", json!(9.4), false),
        ("payload.price", "between", json!([9.5, 9.5]), true),
        ("payload.name", "matches", json!("^e"), false),
        ("payload.item", "eq", json!({"id": "p-1"}), true),
        ("payload.item.id", "missing", json!(null), false),
        ("payload.count", "eq", json!(3), true),
        ("payload.count", "eq", json!(3.0), true),
    ] {
        assert_eq!(matches(field, op, value.clone()), expected, "{field} {op} {value}");
    }
}

#[test]
fn an_absent_field_differs_from_everything_and_compares_with_nothing() {
    for (op, value, expected) in [
        ("ne", json!(1), true),
        ("not_in", json!([1]), true),
        ("missing", json!(null), true),
        ("eq", json!(null), false),
        ("in", json!([null]), false),
        ("gt", json!(0), false),
        ("lt", json!(0), false),
        ("between", json!([0, 1]), false),
        ("contains", json!(""), false),
        ("matches", json!(""), false),
        ("exists", json!(null), false),
    ] {
        assert_eq!(matches("payload.absent", op, value), expected, "{op}");
    }
}

#[test]
fn large_ids_are_told_from_their_neighbours() {
    let (same, next) = (json!(9_007_199_254_740_993_u64), json!(9_007_199_254_740_992_u64));
    assert!(matches("payload.order", "eq", same.clone()));
    assert!(!matches("payload.order", "eq", next.clone()));
    assert!(!matches("payload.order", "in", json!([next])));
    assert!(!matches("payload.order", "ne", same));
}

#[test]
fn all_conditions_must_hold() {
    let both = |price: i32| {
        let when = json!([
            {"field": "payload.name", "op": "eq", "value": "Kettle"},
            {"field": "payload.price", "op": "gt", "value": price},
        ]);
        apply(&FilterSet::new(&[rule("r", when, json!("block"))]).unwrap(), event()).0
    };
    assert_eq!(both(5), Verdict::Block { rule: "r".into() });
    assert_eq!(both(50), Verdict::Pass);
}

#[test]
fn marks_routes_and_changes_add_up_in_order() {
    let set = FilterSet::new(&[
        rule("mark", json!([]), json!({"allow": {"mark": "seen"}})),
        rule("route", json!([]), json!({"route": {"to": ["vip", "audit"]}})),
        rule("change", json!([]), json!({"transform": {"set": {"vip": true}, "remove": ["gift"]}})),
        rule(
            "sees the change",
            json!([{"field": "payload.vip", "op": "eq", "value": true}]),
            json!({"allow": {"mark": "changed"}}),
        ),
    ])
    .unwrap();
    let (verdict, event) = apply(&set, event());
    assert_eq!(verdict, Verdict::Pass);
    let routes: Vec<&str> = event.routes.iter().map(|route| &**route).collect();
    assert_eq!(routes, ["seen", "vip", "audit", "changed"]);
    assert_eq!(event.payload.to_value()["vip"], json!(true));
    assert_eq!(event.payload.to_value().get("gift"), None);
}

#[test]
fn a_rule_that_errs_lets_the_event_through_and_is_counted() {
    let set = FilterSet::new(&[rule(
        "r",
        json!([{"field": "payload.name", "op": "gt", "value": 5}]),
        json!("block"),
    )])
    .unwrap();
    assert_eq!(apply(&set, event()).0, Verdict::Pass);
    assert_eq!(set.stats(), [("r".into(), FilterStats { evaluated: 1, matched: 0, errors: 1 })]);
}

#[test]
fn a_block_ends_the_matter() {
    let set = FilterSet::new(&[
        rule("first", json!([]), json!({"allow": {"mark": "seen"}})),
        rule("block", json!([]), json!("block")),
        rule("after", json!([]), json!("block")),
    ])
    .unwrap();
    assert_eq!(apply(&set, event()).0, Verdict::Block { rule: "block".into() });
    let tried: Vec<u64> = set.stats().iter().map(|(_, stats)| stats.evaluated).collect();
    assert_eq!(tried, [1, 1, 0]);
}

#[test]
fn no_rules_let_everything_through_as_it_is() {
    let set = FilterSet::default();
    assert!(set.is_empty());
    assert_eq!(apply(&set, event()), (Verdict::Pass, event()));
}

#[test]
fn matches_and_tries_are_counted_by_rule() {
    let expensive = json!([{"field": "payload.price", "op": "gt", "value": 9}]);
    let set = FilterSet::new(&[rule("expensive", expensive, json!({"allow": {"mark": "x"}}))]).unwrap();
    apply(&set, event());
    apply(&set, Event { payload: JsonObject::from_value(&json!({"price": 1})), ..event() });
    let counts = FilterStats { evaluated: 2, matched: 1, errors: 0 };
    assert_eq!(set.stats(), [("expensive".into(), counts)]);
}

#[test]
fn a_change_starts_from_an_empty_payload_too() {
    let set =
        FilterSet::new(&[rule("r", json!([]), json!({"transform": {"set": {"a": 1}, "remove": ["b"]}}))])
            .unwrap();
    let (_, event) = apply(&set, Event { payload: JsonObject::default(), ..event() });
    assert_eq!(event.payload.to_value(), json!({"a": 1}));
}

#[test]
fn a_change_leaves_other_numbers_as_they_were_sent() {
    let set =
        FilterSet::new(&[rule("r", json!([]), json!({"transform": {"set": {"z": 1}, "remove": ["b"]}}))])
            .unwrap();
    let payload = r#"{"a":1.10,"b":2,"id":123456789012345678901234567890,"n":{"x":1e2}}"#;
    let (_, event) = apply(&set, Event { payload: serde_json::from_str(payload).unwrap(), ..event() });
    let expected = r#"{"a":1.10,"id":123456789012345678901234567890,"n":{"x":1e2},"z":1}"#;
    assert_eq!(event.payload.as_str(), expected);
}

#[test]
fn a_change_that_no_store_could_hold_is_undone() {
    let set = FilterSet::new(&[rule("r", json!([]), json!({"transform": {"set": {"x": 70000}}}))]).unwrap();
    let mut event = event();
    event.event_type = EventName::new("click").unwrap();
    let before = event.payload.clone();
    assert_eq!(apply(&set, event).1.payload, before);
}

#[test]
fn bad_rules_are_named() {
    for (config, field) in [
        (
            rule("r", json!([{"field": "payload.a", "op": "gt", "value": "x"}]), json!("block")),
            "filters[0].when.value",
        ),
        (
            rule("r", json!([{"field": "payload.a", "op": "matches", "value": "("}]), json!("block")),
            "filters[0].when.value",
        ),
        (
            rule("r", json!([{"field": "payload.a", "op": "between", "value": [1]}]), json!("block")),
            "filters[0].when.value",
        ),
        (
            rule("r", json!([{"field": "payload.a", "op": "in", "value": "x"}]), json!("block")),
            "filters[0].when.value",
        ),
        (
            rule("r", json!([{"field": "payload.a", "op": "contains", "value": 1}]), json!("block")),
            "filters[0].when.value",
        ),
        (
            // Would take more memory than a rule may have.
            rule(
                "r",
                json!([{"field": "payload.a", "op": "matches", "value": "(?:a{1000}){1000}"}]),
                json!("block"),
            ),
            "filters[0].when.value",
        ),
        (rule("", json!([]), json!("block")), "filters[0].name"),
    ] {
        assert_eq!(FilterSet::new(&[config]).unwrap_err().field, field);
    }
    let twice = rule("r", json!([]), json!("block"));
    assert_eq!(FilterSet::new(&[twice.clone(), twice]).unwrap_err().field, "filters[1].name");
}

#[test]
fn a_rule_with_a_slip_of_the_pen_is_not_read() {
    for config in [
        json!({"name": "r", "action": "blok"}),
        json!({"name": "r", "action": "block", "if": []}),
        json!({"name": "r", "action": {"allow": {"marks": "x"}}}),
        json!({"name": "r", "action": "block", "when": [{"field": "paylod.x", "op": "exists"}]}),
        json!({"name": "r", "action": "block", "when": [{"field": "payload.x", "op": "equals", "value": 1}]}),
        json!({"name": "r", "action": "block", "when": [{"field": "payload.x", "op": "eq", "values": 1}]}),
    ] {
        assert!(serde_json::from_value::<FilterRuleConfig>(config.clone()).is_err(), "{config}");
    }
}
