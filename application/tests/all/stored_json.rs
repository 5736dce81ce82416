//! What the log carries is stored as it is, unless processing changes it.

use std::sync::Arc;

use gosight_application::codec::encode_event;
use gosight_application::ports::{PolledBatch, PolledRecord, StoredEvent};
use gosight_application::process::filter::{FilterRuleConfig, FilterSet};
use gosight_application::process::{BatchHandler, EventHandler, EventHandlerPorts, Refusals};
use gosight_conformance::factory::{LOG, NOON, bytes, click, span};
use gosight_domain::Event;
use gosight_memory::{ManualClock, MemoryStore};
use serde_json::{Value, json};

/// What processing makes of one record.
async fn stored(record: &str, rules: Value) -> StoredEvent {
    let rules: Vec<FilterRuleConfig> = serde_json::from_value(rules).unwrap();
    let ports = EventHandlerPorts {
        deduplicator: Arc::new(MemoryStore::default()).deduplicator(),
        enrichers: Arc::default(),
        clock: Arc::new(ManualClock::new(NOON)),
    };
    let handler = EventHandler::new(ports, Arc::new(FilterSet::new(&rules).unwrap()), Vec::new());
    let records = vec![PolledRecord { offset: 0, value: bytes(record) }];
    let batch = PolledBatch { span: span(0, 1), records };
    let mut processed = handler.handle(&batch, &Refusals::new()).await.unwrap();
    assert_eq!(&*processed.ledger.span.log, LOG);
    processed.events.pop().unwrap()
}

fn record() -> String {
    String::from_utf8(encode_event(&click(1, 0)).unwrap().value.to_vec()).unwrap()
}

#[tokio::test]
async fn a_record_that_nothing_changes_is_stored_byte_for_byte() {
    let unmoved =
        json!([{"name": "r", "when": [{"field": "payload.x", "op": "lt", "value": 0}], "action": "block"}]);
    // As this release writes it, and as others may.
    for record in [record(), record().replacen('{', r#"{ "mood": [1.50], "#, 1)] {
        let stored = stored(&record, unmoved.clone()).await;
        assert_eq!(stored.json().unwrap(), record);
        assert_eq!(serde_json::from_str::<Event>(&stored.json().unwrap()).unwrap(), stored.event);
    }
}

#[tokio::test]
async fn an_event_that_a_rule_changes_is_stored_as_changed() {
    for action in [
        json!({"allow": {"mark": "m"}}),
        json!({"route": {"to": ["m"]}}),
        json!({"transform": {"set": {"m": 1}, "remove": []}}),
    ] {
        let stored = stored(&record(), json!([{"name": "r", "action": action}])).await;
        assert_ne!(stored.json().unwrap(), record());
        assert_eq!(serde_json::from_str::<Event>(&stored.json().unwrap()).unwrap(), stored.event);
        assert!(stored.json().unwrap().contains("\"m\""), "{}", stored.json().unwrap());
    }
}

#[tokio::test]
async fn a_record_on_several_lines_is_stored_on_one() {
    let stored = stored(&record().replacen('{', "{\n", 1), json!([])).await;
    assert_eq!(stored.json().unwrap(), record());
}
