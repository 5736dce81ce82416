//! What operators do with replays.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::json;

use super::harness::{Answer, Harness, Setup};
use super::replay_read::{EVENTS, chunk, store};

const REPLAY: &str = "/api/v1/sessions/s/replay";

fn harness() -> Harness {
    Setup { store: store(vec![chunk(0, &[0, 30], 0), chunk(2, &[10], 0)]), ..Setup::default() }.build()
}

async fn ask(harness: &Harness, method: Method, uri: &str, key: &str) -> Answer {
    let request = Request::builder().method(method).uri(uri).header("x-project-key", key);
    harness.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_replay_is_archived_verified_listed_and_deleted() {
    let harness = harness();
    let admin = async |method, uri: &str| ask(&harness, method, uri, "admin").await.json();
    let verify = format!("{REPLAY}/verify");
    assert_eq!(admin(Method::GET, &verify).await, json!({"state": "not_archived"}));
    let hot = json!({"replays": [{"session_id": "s", "storage": "hot"}]});
    assert_eq!(admin(Method::GET, "/api/v1/replays").await, hot);
    let before = harness.get(EVENTS).await.body;
    assert_eq!(admin(Method::POST, &format!("{REPLAY}/archive")).await, json!({"outcome": "archived"}));
    assert_eq!(harness.get(EVENTS).await.body, before, "the same, from the archive");
    let manifest = harness.get(REPLAY).await.json();
    assert_eq!((&manifest["storage"], &manifest["missing_chunks"]), (&json!("archived"), &json!([1])));
    let verified = admin(Method::GET, &verify).await;
    assert_eq!(verified["state"], "whole", "{verified}");
    let listed = admin(Method::GET, "/api/v1/replays?limit=1").await;
    assert_eq!((&listed["replays"][0]["session_id"], &listed["next"]), (&json!("s"), &json!("s")));
    assert_eq!(listed["replays"][0]["object"], verified["object"]);
    assert_eq!(listed["replays"][0]["storage"], "both");
    assert_eq!(admin(Method::GET, "/api/v1/replays?after=s").await, json!({"replays": []}));

    let found = json!({"dry_run": true, "hot_chunks": 2, "archived_chunks": 2, "objects": 1});
    assert_eq!(admin(Method::DELETE, &format!("{REPLAY}?dry_run=true")).await, found);
    assert_eq!(admin(Method::GET, &verify).await["state"], "whole", "nothing is gone yet");
    assert_eq!(admin(Method::DELETE, REPLAY).await["objects"], 1);
    assert_eq!(admin(Method::GET, &verify).await["state"], "not_archived");
}

#[tokio::test]
async fn only_an_admin_may() {
    let harness = harness();
    for (method, uri) in [
        (Method::POST, format!("{REPLAY}/archive")),
        (Method::GET, format!("{REPLAY}/verify")),
        (Method::DELETE, REPLAY.to_owned()),
        (Method::GET, "/api/v1/replays".to_owned()),
    ] {
        let answer = ask(&harness, method, &uri, "read").await;
        assert_eq!(answer.error(), (403, "insufficient_scope".to_owned()), "{uri}");
    }
}
