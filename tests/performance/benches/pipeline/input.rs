//! Recorded requests, made larger.

use gosight_e2e::recordings;
use serde_json::{Value, json};

/// Events in each request.
pub(crate) const EVENTS_OF_A_REQUEST: usize = 100;

/// Requests with events of the recorded sessions, 100 each, with the browser's name. No two events are the same:
/// each copy of a session has ids of its own.
pub(crate) fn requests(count: usize) -> Vec<Vec<u8>> {
    let recorded = events();
    let mut events = (0..).flat_map(|copy| recorded.iter().map(move |event| copied(event, copy)));
    (0..count)
        .map(|_| {
            let events: Vec<Value> = events.by_ref().take(EVENTS_OF_A_REQUEST).collect();
            json!({ "events": events }).to_string().into_bytes()
        })
        .collect()
}

fn events() -> Vec<Value> {
    let mut events = Vec::new();
    for request in recordings::requests() {
        if request["path"] != "/v1/events" {
            continue;
        }
        for event in request["body"]["events"].as_array().expect("events") {
            let mut event = event.clone();
            event["session_id"] = request["body"]["session_id"].clone();
            event["user_id"] = request["body"]["user_id"].clone();
            events.push(event);
        }
    }
    events
}

fn copied(event: &Value, copy: u32) -> Value {
    let mut event = event.clone();
    for id in ["event_id", "session_id"] {
        let new = format!("{}-{copy}", event[id].as_str().expect("an id"));
        event[id] = json!(new);
    }
    event
}
