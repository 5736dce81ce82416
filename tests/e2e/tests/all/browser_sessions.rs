//! The recorded browser sessions against what their visitors really did.

use std::process::Command;

use gosight_e2e::truth::{archive_all, assert_truth};
use gosight_e2e::{ADMIN_KEY, READ_KEY, Server, ServerBuilder, gosight, recordings};
use serde_json::{Value, json};

/// A server that takes recordings of any date, and believes the proxy that they came through.
fn server() -> Server {
    ServerBuilder::default()
        .env("GOSIGHT_EVENTS_MAX_AGE", "100years")
        .env("GOSIGHT_EVENTS_MAX_FUTURE", "100years")
        .env("GOSIGHT_STORE_RETENTION_DAYS", "0")
        .env("GOSIGHT_ARCHIVE_GRACE", "0s")
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
    let (api, admin) = (server.api(READ_KEY), server.api(ADMIN_KEY));
    assert_truth(&api, &admin).await;
    archive_all(&api, &admin).await;
    assert_truth(&api, &admin).await;
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
