//! What a server says about the recorded sessions against what their visitors really did.

use std::collections::BTreeMap;
use std::io::Read as _;

use flate2::bufread::GzDecoder;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{Api, recordings};

/// Checks that everything that visitors did comes out, and nothing else.
pub async fn assert_truth(api: &Api, admin: &Api) {
    let ledger = admin.processed().await;
    assert_eq!(ledger["balanced"], true);
    let truth = recordings::truth();
    assert_eq!(api.sessions().await.len(), truth.len());
    for visitor in &truth {
        check_session(api, visitor).await;
        check_events(api, visitor).await;
        check_replay(api, visitor).await;
    }
    check_metrics(api, &truth).await;
}

/// Archives every replay, at once and with no grace: all that is left of them is in the archive then.
pub async fn archive_all(api: &Api, admin: &Api) {
    for session in api.sessions().await.iter().filter(|session| session["has_replay"] == true) {
        let replay =
            format!("/api/v1/sessions/{}/replay", session["session_id"].as_str().expect("a session"));
        for outcome in ["archived", "cleaned", "nothing"] {
            let answer = admin.post(&format!("{replay}/archive"), "").await;
            assert_eq!(answer.json(), json!({"outcome": outcome}), "{replay}");
        }
        assert_eq!(admin.get_json(&format!("{replay}/verify")).await["state"], "whole", "{replay}");
        assert_eq!(api.get_json(&replay).await["storage"], "archived", "{replay}");
    }
}

fn id(visitor: &Value) -> &str {
    visitor["session_id"].as_str().expect("as recorded")
}

async fn check_session(api: &Api, visitor: &Value) {
    let session = api.get_json(&format!("/api/v1/sessions/{}", id(visitor))).await;
    let name = &visitor["file"];
    for (ours, theirs) in [
        ("page_count", "page_views"),
        ("click_count", "clicks"),
        ("error_count", "js_errors"),
        ("is_bounce", "is_bounce"),
        ("has_rage_click", "has_rage_click"),
        ("has_dead_click", "has_dead_click"),
        ("entry_path", "entry_path"),
        ("exit_path", "exit_path"),
        ("user_id", "user_id"),
        ("max_scroll_depth", "max_scroll_depth"),
    ] {
        assert_eq!(session[ours], visitor[theirs], "{name}: {ours}");
    }
    let recorded = &visitor["recorded"];
    assert_eq!(session["event_count"], recorded["events"], "{name}: events");
    assert_eq!(session["started_at"], recorded["first_event_ms"], "{name}: start");
    assert_eq!(session["ended_at"], recorded["last_event_ms"], "{name}: end");
    assert_eq!(session["has_error"], json!(visitor["js_errors"] != 0), "{name}: has_error");
    assert_eq!(session["has_replay"], true, "{name}: has_replay");
    assert_eq!(session["device"]["device_type"], visitor["device"]["kind"], "{name}: device");
    assert_eq!(session["geo"]["ip"], visitor["client_ip"], "{name}: address");

    let mut insights: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for insight in session["insights"].as_array().expect("as recorded") {
        let of_kind = insights.entry(insight["kind"].as_str().expect("as recorded")).or_default();
        of_kind.push(insight["count"].as_u64().expect("as recorded"));
    }
    let count = |kind: &str| insights.get(kind).map_or(0, Vec::len);
    let length = |field: &str| visitor[field].as_array().expect("as recorded").len();
    let rage: Vec<u64> = visitor["rage_clicks"]
        .as_array()
        .expect("as recorded")
        .iter()
        .map(|rage| rage["clicks"].as_u64().expect("as recorded"))
        .collect();
    assert_eq!(insights.get("rage_click").cloned().unwrap_or_default(), rage, "{name}: rage clicks");
    assert_eq!(json!(count("dead_click")), visitor["dead_clicks"], "{name}: dead clicks");
    assert_eq!(json!(count("error_click")), visitor["error_clicks"], "{name}: error clicks");
    assert_eq!(count("u_turn"), length("u_turns"), "{name}: u-turns");
    assert_eq!(json!(count("slow_page")), visitor["slow_pages"], "{name}: slow pages");
}

async fn check_events(api: &Api, visitor: &Value) {
    let events = api.session_events(id(visitor)).await;
    let mut by_type: BTreeMap<String, u64> = BTreeMap::new();
    for event in &events {
        *by_type.entry(event["event_type"].as_str().expect("as recorded").to_owned()).or_default() += 1;
    }
    let name = &visitor["file"];
    assert_eq!(json!(by_type), visitor["recorded"]["events_by_type"], "{name}: events by type");
    let times: Vec<i64> =
        events.iter().map(|event| event["timestamp"].as_i64().expect("as recorded")).collect();
    assert!(times.is_sorted(), "{name}: order of events");
    let purchases: Vec<Value> = events
        .iter()
        .filter(|event| event["event_type"] == "purchase")
        .map(|event| json!([event["payload"]["order_id"], event["payload"]["price"]]))
        .collect();
    let truly: Vec<Value> = visitor["purchases"]
        .as_array()
        .expect("as recorded")
        .iter()
        .map(|purchase| json!([purchase["order_id"], purchase["total"]]))
        .collect();
    assert_eq!(purchases, truly, "{name}: purchases");
}

/// Checks that a visitor's replay is what was recorded, byte for byte.
pub async fn check_replay(api: &Api, visitor: &Value) {
    let (name, recorded) = (&visitor["file"], &visitor["recorded"]["replay"]);
    let path = format!("/api/v1/sessions/{}/replay", id(visitor));
    let manifest = api.get_json(&path).await;
    assert_eq!(manifest["chunk_count"], recorded["chunks"], "{name}: chunks");
    assert_eq!(manifest["event_count"], recorded["rrweb_events"], "{name}: rrweb events");
    assert_eq!(manifest["missing_chunks"], recorded["missing_chunks"], "{name}: missing chunks");
    assert_eq!(manifest["first_full_snapshot"], recorded["full_snapshot_chunks"][0], "{name}: snapshot");
    let array = api.get(&format!("{path}/events")).await.text;
    assert_eq!(json!(sha256(&array)), recorded["sha256"], "{name}: rrweb events byte for byte");
    assert_eq!(gunzipped(api, &format!("{path}/events")).await, array, "{name}: the same, compressed");
    let lines = api.get(&format!("{path}/events?format=ndjson")).await.text;
    assert_eq!(json!(lines.lines().count()), recorded["rrweb_events"], "{name}: lines");
}

/// What `path` gives to a client that accepts gzip.
async fn gunzipped(api: &Api, path: &str) -> String {
    let request = api.request(Method::GET, path).header("accept-encoding", "gzip");
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.headers().get("content-encoding").expect("compressed"), "gzip");
    let mut text = String::new();
    GzDecoder::new(&answer.bytes().await.expect("a body")[..]).read_to_string(&mut text).expect("gzip");
    text
}

fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

async fn check_metrics(api: &Api, truth: &[Value]) {
    let mut by_type: BTreeMap<&String, u64> = BTreeMap::new();
    for visitor in truth {
        for (event_type, count) in visitor["recorded"]["events_by_type"].as_object().expect("as recorded") {
            *by_type.entry(event_type).or_default() += count.as_u64().expect("as recorded");
        }
    }
    let metrics = api.get_json("/api/v1/metrics?from=0&to=4102444800&group_by=event_type").await;
    let groups = metrics["grouped_data"].as_array().expect("as recorded");
    assert_eq!(groups.len(), by_type.len());
    for group in groups {
        let event_type = group["key"].as_str().expect("as recorded").to_owned();
        assert_eq!(group["total_count"], by_type[&event_type], "{event_type}");
    }
    assert_eq!(metrics["total_count"], by_type.values().sum::<u64>());
    let purchases = api.get_json("/api/v1/metrics?event_name=purchase&from=0&to=4102444800").await;
    let buyers: std::collections::BTreeSet<&str> = truth
        .iter()
        .filter(|visitor| visitor["has_purchase"] == true)
        .map(|visitor| visitor["user_id"].as_str().expect("as recorded"))
        .collect();
    assert_eq!(purchases["unique_users"], buyers.len());
}
