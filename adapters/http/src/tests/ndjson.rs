//! `POST /v1/ndjson`: lines of every kind, and a key in each of its places.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gosight_application::ports::{ProfileKind, ProfileStore as _};
use gosight_application::surface::{
    Answer, Credential, Dialect, Failure, FieldNames, Head, Intake, IntakeReceipt, IntakeRequest, ReadLimits,
};
use gosight_domain::validate::EventDraft;
use gosight_memory::MemoryProfiles;
use serde_json::json;

use super::fakes::{NOW, project};
use super::harness::{Harness, Setup};

const PATH: &str = "/v1/ndjson";

fn line() -> String {
    json!({"type": "order", "timestamp": NOW.as_millis()}).to_string()
}

#[tokio::test]
async fn events_profiles_and_aliases_are_taken_and_a_bad_line_is_named() {
    let profiles = Arc::new(MemoryProfiles::default());
    let harness = Setup { profiles: profiles.clone(), ..Setup::default() }.build();
    let at = NOW.as_millis();
    let lines = [
        json!({"type": "order", "timestamp": at, "ip": "198.51.100.7", "user_agent": "Shop/1", "library": "jq/1.7"}),
        json!({"profile": {"user_id": "u", "properties": {"plan": "pro"}}}),
        json!({"alias": {"previous_id": "a", "user_id": "u", "timestamp": at}}),
        json!({"profile": {"user_id": "", "properties": {}}}),
        json!({"alias": {"user_id": "u", "timestamp": at}}),
        json!({"type": "order", "timestamp": at, "ip": "nowhere"}),
    ];
    let body = lines.map(|line| line.to_string()).join("\n");
    let answer = harness.post(PATH, body).await;
    let said = answer.json();
    assert_eq!((answer.status.as_u16(), &said["accepted_count"]), (200, &json!(3)), "{said}");
    let fields: Vec<_> =
        said["errors"].as_array().unwrap().iter().map(|e| (&e["index"], &e["field"])).collect();
    let expected = [
        (json!(3), json!("profile.user_id or profile.item_id")),
        (json!(4), json!("alias.previous_id")),
        (json!(5), json!("ip")),
    ];
    assert_eq!(fields, expected.iter().map(|(index, field)| (index, field)).collect::<Vec<_>>());
    let events = harness.sink.events.lock().unwrap().clone();
    assert_eq!((events.len(), events[0].library.as_deref()), (2, Some("jq/1.7")));
    assert_eq!(events[1].event_type.as_str(), "alias");
    assert_eq!(events[1].visitor(), Some("u"));
    assert_eq!(events[1].anonymous_id.as_ref().map(ToString::to_string).as_deref(), Some("a"));
    let found = profiles.get(&project(), ProfileKind::User, &["u".to_owned()]).await.unwrap();
    assert_eq!(found["u"].as_str(), r#"{"plan":"pro"}"#);
}

#[tokio::test]
async fn the_client_of_an_event_is_the_one_it_names() {
    let harness = Harness::new();
    let with = |ip: &str| json!({"type": "order", "timestamp": NOW.as_millis(), "ip": ip}).to_string();
    let body = [line(), with("198.51.100.7"), with("198.51.100.7"), with("198.51.100.8")].join("\n");
    assert_eq!(harness.post(PATH, body).await.status.as_u16(), 200);
    let asked = harness.enricher.asked.lock().unwrap();
    let asked: Vec<String> = asked.iter().filter_map(|(ip, _)| Some(ip.as_ref()?.to_string())).collect();
    assert_eq!(asked[asked.len() - 2..], ["198.51.100.7", "198.51.100.8"], "each client once: {asked:?}");
}

#[tokio::test]
async fn the_key_may_stand_in_any_of_its_places_and_not_in_the_body() {
    let basic = format!("Basic {}", STANDARD.encode("ingest:"));
    let post = |uri: &str| Request::post(uri.to_owned());
    for (request, status) in [
        (post(PATH).header("X-Project-Key", "ingest"), 200),
        (post(PATH).header(header::AUTHORIZATION, "Bearer ingest"), 200),
        (post(PATH).header(header::AUTHORIZATION, &basic), 200),
        (post("/v1/ndjson?project_key=ingest"), 200),
        (post("/v1/ndjson?project_key=read"), 403),
        (post(PATH), 401),
    ] {
        let request = request.body(Body::from(line())).unwrap();
        let shown = format!("{request:?}");
        assert_eq!(Harness::new().send(request).await.status.as_u16(), status, "{shown}");
    }
    let in_body = json!({"project_key": "ingest", "type": "order", "timestamp": NOW.as_millis()}).to_string();
    let request = post(PATH).body(Body::from(in_body)).unwrap();
    assert_eq!(Harness::new().send(request).await.error().1, "missing_key");
}

/// The body is the name of an event, and the key is anybody's who knows the path.
#[derive(Debug)]
struct Named;

impl Dialect for Named {
    fn name(&self) -> &'static str {
        "named"
    }

    fn paths(&self) -> &'static [&'static str] {
        &["/v1/named", PATH]
    }

    fn credentials(&self) -> &'static [Credential] {
        &[Credential::Body]
    }

    #[expect(clippy::cast_precision_loss, reason = "milliseconds of this century fit")]
    fn read<'a>(&self, _: &Head<'_>, body: &'a [u8], _: ReadLimits) -> Result<IntakeRequest<'a>, Failure> {
        let draft = EventDraft {
            event_type: Some(String::from_utf8_lossy(body)),
            timestamp: Some(NOW.as_millis() as f64),
            ..EventDraft::default()
        };
        Ok(IntakeRequest {
            key: Credential::in_body(Some("ingest")),
            sent_at: None,
            user_required: false,
            items: vec![Ok(Intake::Event(draft))],
            names: vec![FieldNames::AS_SENT],
            found: 1,
        })
    }

    fn answer(&self, _: &IntakeRequest<'_>, receipt: &IntakeReceipt) -> Answer {
        Answer { status: 204, body: Vec::new(), ..Answer::json(200, &receipt.accepted()) }
    }
}

#[tokio::test]
async fn a_dialect_of_ones_own_has_its_paths_and_takes_those_of_others() {
    let mut harness = Harness::new();
    harness.ports.dialects.push(Arc::new(Named));
    for path in ["/v1/named", PATH] {
        assert_eq!(harness.post(path, "hello").await.status.as_u16(), 204, "{path}");
    }
    let events = harness.sink.events.lock().unwrap();
    assert!(
        events.iter().all(|event| event.event_type.as_str() == "hello") && events.len() == 2,
        "{events:?}"
    );
}
