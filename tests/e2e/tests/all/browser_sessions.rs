//! The recorded browser sessions against what their visitors really did.

use std::collections::BTreeMap;
use std::process::Command;

use gosight_e2e::{ADMIN_KEY, Api, READ_KEY, Server, ServerBuilder, gosight, recordings};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A server that takes recordings of any date, and believes the proxy that they came through.
fn server() -> Server {
    ServerBuilder::default()
        .env("GOSIGHT_EVENTS_MAX_AGE", "100years")
        .env("GOSIGHT_EVENTS_MAX_FUTURE", "100years")
        .env("GOSIGHT_STORE_RETENTION_DAYS", "0")
        .env("GOSIGHT_HTTP_TRUSTED_PROXIES", "[127.0.0.1/32, 192.0.2.254/32]")
        .start()
}

/// Sends all recordings with `gosight send`; gives its summary.
fn send(server: &Server, args: &[&str]) -> Value {
    let sent = Command::new(gosight())
        .args(["send", "--server", server.url(), "--json"])
        .args(args)
        .args(recordings::files())
        .output()
        .unwrap();
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    serde_json::from_slice(&sent.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_visitors_did_comes_out_and_nothing_else() {
    let server = server();
    let summary = send(&server, &[]);
    assert_eq!((&summary["failed"], &summary["refused"]), (&json!({}), &json!({})));
    let ledger = server.api(ADMIN_KEY).processed().await;
    assert_eq!(ledger["balanced"], true);
    let api = server.api(READ_KEY);
    let truth = recordings::truth();
    assert_eq!(api.sessions().await.len(), truth.len());
    for visitor in &truth {
        check_session(&api, visitor).await;
        check_events(&api, visitor).await;
        check_replay(&api, visitor).await;
    }
    check_metrics(&api, &truth).await;
}

fn id(visitor: &Value) -> &str {
    visitor["session_id"].as_str().unwrap()
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
    for insight in session["insights"].as_array().unwrap() {
        let of_kind = insights.entry(insight["kind"].as_str().unwrap()).or_default();
        of_kind.push(insight["count"].as_u64().unwrap());
    }
    let count = |kind: &str| insights.get(kind).map_or(0, Vec::len);
    let length = |field: &str| visitor[field].as_array().unwrap().len();
    let rage: Vec<u64> = visitor["rage_clicks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rage| rage["clicks"].as_u64().unwrap())
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
        *by_type.entry(event["event_type"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    let name = &visitor["file"];
    assert_eq!(json!(by_type), visitor["recorded"]["events_by_type"], "{name}: events by type");
    let times: Vec<i64> = events.iter().map(|event| event["timestamp"].as_i64().unwrap()).collect();
    assert!(times.is_sorted(), "{name}: order of events");
    let purchases: Vec<Value> = events
        .iter()
        .filter(|event| event["event_type"] == "purchase")
        .map(|event| json!([event["payload"]["order_id"], event["payload"]["price"]]))
        .collect();
    let truly: Vec<Value> = visitor["purchases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|purchase| json!([purchase["order_id"], purchase["total"]]))
        .collect();
    assert_eq!(purchases, truly, "{name}: purchases");
}

async fn check_replay(api: &Api, visitor: &Value) {
    let (name, recorded) = (&visitor["file"], &visitor["recorded"]["replay"]);
    let path = format!("/api/v1/sessions/{}/replay", id(visitor));
    let manifest = api.get_json(&path).await;
    assert_eq!(manifest["chunk_count"], recorded["chunks"], "{name}: chunks");
    assert_eq!(manifest["event_count"], recorded["rrweb_events"], "{name}: rrweb events");
    assert_eq!(manifest["missing_chunks"], recorded["missing_chunks"], "{name}: missing chunks");
    assert_eq!(manifest["first_full_snapshot"], recorded["full_snapshot_chunks"][0], "{name}: snapshot");
    let array = api.get(&format!("{path}/events")).await.text;
    assert_eq!(json!(sha256(&array)), recorded["sha256"], "{name}: rrweb events byte for byte");
    let lines = api.get(&format!("{path}/events?format=ndjson")).await.text;
    assert_eq!(json!(lines.lines().count()), recorded["rrweb_events"], "{name}: lines");
}

fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

async fn check_metrics(api: &Api, truth: &[Value]) {
    let mut by_type: BTreeMap<&String, u64> = BTreeMap::new();
    for visitor in truth {
        for (event_type, count) in visitor["recorded"]["events_by_type"].as_object().unwrap() {
            *by_type.entry(event_type).or_default() += count.as_u64().unwrap();
        }
    }
    let metrics = api.get_json("/api/v1/metrics?from=0&to=4102444800&group_by=event_type").await;
    let groups = metrics["grouped_data"].as_array().unwrap();
    assert_eq!(groups.len(), by_type.len());
    for group in groups {
        let event_type = group["key"].as_str().unwrap().to_owned();
        assert_eq!(group["total_count"], by_type[&event_type], "{event_type}");
    }
    assert_eq!(metrics["total_count"], by_type.values().sum::<u64>());
    let purchases = api.get_json("/api/v1/metrics?event_name=purchase&from=0&to=4102444800").await;
    let buyers: std::collections::BTreeSet<&str> = truth
        .iter()
        .filter(|visitor| visitor["has_purchase"] == true)
        .map(|visitor| visitor["user_id"].as_str().unwrap())
        .collect();
    assert_eq!(purchases["unique_users"], buyers.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn recordings_can_be_sent_as_if_they_were_made_just_now() {
    let server = Server::start();
    let summary = send(&server, &["--shift-to-now"]);
    assert_eq!((&summary["failed"], &summary["refused"]), (&json!({}), &json!({})));
    server.api(ADMIN_KEY).processed().await;
    let api = server.api(READ_KEY);
    let events: u64 =
        recordings::truth().iter().map(|visitor| visitor["recorded"]["events"].as_u64().unwrap()).sum();
    let metrics = api.get_json("/api/v1/metrics").await;
    assert_eq!(metrics["total_count"], events, "the last day has all events");
    send(&server, &["--shift-to-now", "--rate", "2000"]);
    server.api(ADMIN_KEY).processed().await;
    assert_eq!(api.total_count().await, events, "sent again with other times, the ids are the same");
}
