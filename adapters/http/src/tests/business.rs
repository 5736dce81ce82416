//! `POST /api/v1/events` and `/api/v1/events/bulk`.

use serde_json::{Value, json};

use super::fakes::NOW;
use super::harness::Harness;

const ONE: &str = "/api/v1/events";
const BULK: &str = "/api/v1/events/bulk";
const ID: &str = "14cb7f4d-533f-46d6-841e-efb2338730c8";

fn purchase() -> Value {
    json!({
        "event_name": "purchase", "user_id": "u", "timestamp": NOW.as_millis(), "event_id": ID,
        "channel": "api", "metadata": {"price": 12.50}, "tags": ["vip"],
    })
}

fn purchase_with(field: &str, value: impl Into<Value>) -> Value {
    let mut event = purchase();
    event[field] = value.into();
    event
}

#[tokio::test]
async fn one_event_is_queued() {
    let harness = Harness::new();
    let answer = harness.post(ONE, purchase().to_string()).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (202, json!({"event_id": ID, "status": "queued"})));
    let events = harness.sink.events.lock().unwrap();
    assert_eq!(events[0].payload.as_str(), r#"{"price":12.5}"#);
    assert_eq!(events[0].event_type.as_str(), "purchase");
}

#[tokio::test]
async fn the_key_and_sent_at_stand_beside_the_fields() {
    let mut event = purchase_with("project_key", "ingest");
    event["sent_at"] = json!(NOW.plus_millis(600_000).as_millis());
    event["timestamp"] = json!(NOW.plus_millis(600_000).as_millis());
    let harness = Harness::new();
    let request = axum::http::Request::post(ONE).body(event.to_string().into()).unwrap();
    assert_eq!(harness.send(request).await.status.as_u16(), 202);
    assert_eq!(harness.sink.events.lock().unwrap()[0].timestamp, NOW);
}

#[tokio::test]
async fn what_is_wrong_is_said_in_the_words_of_the_sender() {
    let mut nameless = purchase();
    nameless.as_object_mut().unwrap().remove("event_name");
    let mut typed = nameless.clone();
    typed["event_type"] = json!("");
    let mut click = purchase_with("metadata", json!({"x": 70_000}));
    click["event_name"] = json!("click");
    let mut payload = click.clone();
    payload["payload"] = payload["metadata"].take();
    for (event, field, code) in [
        (nameless, "event_name", "missing_field"),
        (typed, "event_type", "missing_field"),
        (purchase_with("event_name", 5), "event_name", "wrong_type"),
        (purchase_with("user_id", Value::Null), "user_id", "missing_field"),
        (purchase_with("metadata", "x"), "metadata", "wrong_type"),
        (click, "metadata.x", "out_of_range"),
        (payload, "payload.x", "out_of_range"),
    ] {
        let answer = Harness::new().post(ONE, event.to_string()).await;
        assert_eq!(answer.error(), (400, "invalid_event".to_owned()), "{event}");
        let detail = &answer.json()["error"]["details"][0];
        assert_eq!(
            (&detail["index"], &detail["field"], &detail["code"]),
            (&json!(0), &json!(field), &json!(code)),
            "{event}"
        );
    }
}

#[tokio::test]
async fn a_body_that_is_no_object_is_no_event() {
    for (body, code) in [("[]", "invalid_request"), ("5", "invalid_request"), ("{", "invalid_json")] {
        assert_eq!(Harness::new().post(ONE, body).await.error(), (400, code.to_owned()), "{body}");
    }
    let wrong_key = purchase_with("project_key", 5).to_string();
    assert_eq!(Harness::new().post(ONE, wrong_key).await.error(), (400, "invalid_request".to_owned()));
}

#[tokio::test]
async fn each_event_of_many_has_a_result() {
    let bad = purchase_with("user_id", Value::Null);
    let unreadable = purchase_with("event_id", 5);
    let body = json!({"events": [purchase(), bad, unreadable]});
    let answer = Harness::new().post(BULK, body.to_string()).await;
    let json = answer.json();
    assert_eq!(answer.status.as_u16(), 202);
    assert_eq!((&json["accepted_count"], &json["rejected_count"]), (&json!(1), &json!(2)));
    assert_eq!(json["results"][0], json!({"index": 0, "event_id": ID, "status": "queued"}));
    let second = json["results"][1].as_object().unwrap();
    assert_eq!(second.keys().collect::<Vec<_>>(), ["code", "field", "index", "message", "status"]);
    assert_eq!((&second["index"], &second["status"]), (&json!(1), &json!("rejected")));
    assert_eq!((&second["field"], &second["code"]), (&json!("user_id"), &json!("missing_field")));
    assert_eq!(json["results"][2]["field"], "event_id");
    assert!(json.get("error").is_none());
}

#[tokio::test]
async fn many_without_a_good_one_are_refused_with_results() {
    let body = json!({"events": [purchase_with("user_id", Value::Null)]});
    let answer = Harness::new().post(BULK, body.to_string()).await;
    assert_eq!(answer.error(), (400, "invalid_events".to_owned()));
    let json = answer.json();
    assert_eq!(json["results"][0]["status"], "rejected");
    assert_eq!(json["error"]["details"][0]["field"], "user_id");
}
