use gosight_domain::{EventId, EventName, ProjectId, Timestamp};
use serde_json::json;

use super::*;

fn event() -> Event {
    let payload =
        json!({"price": 9.5, "name": "Kettle", "labels": ["a", "b"], "item": {"id": "p-1"}, "gift": true});
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

#[expect(clippy::needless_pass_by_value, reason = "`json!` makes values")]
fn rule(name: &str, when: Value, action: Value) -> FilterRuleConfig {
    serde_json::from_value(json!({"name": name, "when": when, "action": action})).unwrap()
}

#[expect(clippy::needless_pass_by_value, reason = "`json!` makes values")]
fn matches(field: &str, op: &str, value: Value) -> bool {
    let set =
        FilterSet::new(&[rule("r", json!([{"field": field, "op": op, "value": value}]), json!("block"))]);
    set.unwrap().apply(&mut event()) != Verdict::Pass
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
    ] {
        assert_eq!(matches(field, op, value.clone()), expected, "{field} {op} {value}");
    }
}

#[test]
fn all_conditions_must_hold() {
    let both = |price: i32| {
        let when = json!([
            {"field": "payload.name", "op": "eq", "value": "Kettle"},
            {"field": "payload.price", "op": "gt", "value": price},
        ]);
        FilterSet::new(&[rule("r", when, json!("block"))]).unwrap().apply(&mut event())
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
    let mut event = event();
    assert_eq!(set.apply(&mut event), Verdict::Pass);
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
    assert_eq!(set.apply(&mut event()), Verdict::Pass);
    assert_eq!(set.stats(), [("r".into(), FilterStats { evaluated: 1, matched: 0, errors: 1 })]);
}

#[test]
fn a_change_that_no_store_could_hold_is_undone() {
    let set = FilterSet::new(&[rule("r", json!([]), json!({"transform": {"set": {"x": 70000}}}))]).unwrap();
    let mut event = event();
    event.event_type = EventName::new("click").unwrap();
    let before = event.payload.clone();
    set.apply(&mut event);
    assert_eq!(event.payload, before);
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
        (rule("", json!([]), json!("block")), "filters[0].name"),
    ] {
        assert_eq!(FilterSet::new(&[config]).unwrap_err().field, field);
    }
    let twice = rule("r", json!([]), json!("block"));
    assert_eq!(FilterSet::new(&[twice.clone(), twice]).unwrap_err().field, "filters[1].name");
}
