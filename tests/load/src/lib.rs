//! Made-up traffic of any size: sessions to a shop, all of the same length.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use uuid::Uuid;

/// Events of one session.
pub const EVENTS_OF_A_VISIT: u64 = 20;
/// Distinct visitors.
const USERS: u64 = 20_000;

/// The body of a request with the events from `first` on, `count` of them.
pub fn body(first: u64, count: u64) -> Value {
    let events: Vec<Value> = (first..first + count).map(event).collect();
    json!({"user_id": format!("user-{}", first / EVENTS_OF_A_VISIT % USERS), "events": events})
}

/// The event of this number, about 490 bytes, just now and with an id of its own.
pub fn event(n: u64) -> Value {
    let path = format!("/shop/product/p-{}", n % 53);
    let (event_type, payload) = match n % 6 {
        0 => ("page_view", json!({})),
        1 => (
            "click",
            json!({"x": n % 1280, "y": n % 720, "target": {
                "selector": "#app > div.grid > article.card:nth-of-type(4) > a.card-link",
                "tag": "a", "text": "Drip scale"}}),
        ),
        2 => ("scroll", json!({"depth_percent": n % 100})),
        3 => ("web_vitals", json!({"ttfb": 7, "lcp": 164, "cls": 0})),
        4 => (
            "product_view",
            json!({"product_id": format!("p-{}", n % 53), "name": "Drip scale", "category": "tools",
                "price": 12.5, "currency": "EUR"}),
        ),
        _ => ("search", json!({"query": "scale", "results": 12})),
    };
    json!({
        "event_id": Uuid::new_v4(),
        "session_id": format!("session-{:08}", n / EVENTS_OF_A_VISIT),
        "type": event_type,
        "timestamp": now_ms(),
        "url": format!("http://127.0.0.1:8173{path}"),
        "path": path,
        "title": "Drip scale – Kettle & Cup",
        "referrer": "http://127.0.0.1:8173/shop/list",
        "payload": payload,
        "device": {"screen_width": 1920, "screen_height": 1080, "viewport_width": 1280, "viewport_height": 720},
        "custom": {"variant": "B", "locale": "de-DE"},
    })
}

/// Now, in epoch ms.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn events_are_their_own_and_visits_are_of_one_length() {
        let body = body(10, 40);
        let events = body["events"].as_array().unwrap();
        let of = |field: &str| events.iter().map(|event| event[field].to_string()).collect::<BTreeSet<_>>();
        assert_eq!((of("event_id").len(), of("session_id").len(), of("type").len()), (40, 3, 6));
        assert_eq!(body["user_id"], "user-0");
    }
}
