//! The recorded browser sessions against what their visitors really did.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use gosight_e2e::truth::{archive_all, assert_truth, check_replay};
use gosight_e2e::{ADMIN_KEY, READ_KEY, Server, ServerBuilder, gosight, recordings, wait_for};
use serde_json::{Value, json};

/// A server that takes recordings of any date, and believes the proxy that they came through.
fn server() -> ServerBuilder {
    ServerBuilder::default()
        .env("GOSIGHT_EVENTS_MAX_AGE", "100years")
        .env("GOSIGHT_EVENTS_MAX_FUTURE", "100years")
        .env("GOSIGHT_STORE_RETENTION_DAYS", "0")
        .env("GOSIGHT_ARCHIVE_GRACE", "0s")
        .env("GOSIGHT_HTTP_TRUSTED_PROXIES", "[127.0.0.1/32, 192.0.2.254/32]")
}

/// Sends all recordings with `gosight send`; gives its summary.
fn try_send(server: &Server, args: &[&str]) -> Output {
    Command::new(gosight())
        .args(["send", "--server", server.url(), "--json"])
        .args(args)
        .args(recordings::files())
        .output()
        .unwrap()
}

fn send(server: &Server, args: &[&str]) -> Value {
    let sent = try_send(server, args);
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    serde_json::from_slice(&sent.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_visitors_did_comes_out_and_nothing_else() {
    let server = server().start();
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
    let again = try_send(&server, &["--shift-to-now", "--rate", "2000"]);
    assert!(!again.status.success());
    let said = String::from_utf8_lossy(&again.stderr);
    assert!(said.contains("sent before with other times"), "{said}");
    let summary: Value = serde_json::from_slice(&again.stdout).unwrap();
    let failed: Vec<&String> = summary["failed"].as_object().unwrap().keys().collect();
    assert_eq!(failed, ["409 conflicting_chunk"], "chunks with other times are other chunks");
    server.api(ADMIN_KEY).processed().await;
    assert_eq!(api.total_count().await, events, "sent again with other times, the ids are the same");
}

/// Points of archiving, and how often the server is killed at each.
const ARCHIVE_POINTS: [(&str, usize); 5] = [
    ("archive-uploaded", 4),
    ("archive-verified", 4),
    ("archive-recorded", 5),
    ("archive-before-delete", 4),
    ("archive-deleted", 3),
];

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_archives_every_replay_is_there_once() {
    let mut server = server().start();
    send(&server, &[]);
    assert_truth(&server.api(READ_KEY), &server.api(ADMIN_KEY)).await;
    // At the start everything is old enough, and one replay after the other moves.
    let eager = self::server()
        .env("GOSIGHT_ARCHIVE_HOT_RETENTION", "0s")
        .env("GOSIGHT_ARCHIVE_INTERVAL", "1s")
        .env("GOSIGHT_ARCHIVE_LEASE", "1s")
        .env("GOSIGHT_ARCHIVE_PARALLEL", "1")
        // Of each batch the hot chunks are deleted together.
        .env("GOSIGHT_ARCHIVE_BATCH", "2");
    for (point, kills) in ARCHIVE_POINTS {
        for _ in 0..kills {
            server.stop();
            server = server.restart_as(eager.clone().env("FAILPOINTS", format!("{point}=return")));
            wait_for("the death", async || server.has_ended().then_some(())).await;
            server = server.restart_as(self::server());
            // Wherever each of them is now, it reads the same.
            assert_truth(&server.api(READ_KEY), &server.api(ADMIN_KEY)).await;
        }
    }
    server.stop();
    let server = server.restart_as(eager);
    wait_for("the archive", async || {
        let replays = server.api(ADMIN_KEY).get_json("/api/v1/replays").await;
        let replays = replays["replays"].as_array().unwrap();
        let archived = replays.iter().filter(|replay| replay["object"].is_string()).count();
        (archived == recordings::truth().len()).then_some(())
    })
    .await;
    assert_truth(&server.api(READ_KEY), &server.api(ADMIN_KEY)).await;
}

/// Purges a replay with the command; tells whether it says that it did.
fn purge(server: &Server, session: &str) -> bool {
    let mut command = Command::new(gosight());
    command.args(["replay", "purge", session, "--yes", "--server", server.url()]);
    command.env("GOSIGHT_KEY", ADMIN_KEY).output().unwrap().status.success()
}

/// Paths under `dir` that have `text` in them.
fn paths_with(dir: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(paths_with(&path, text));
        } else if path.to_string_lossy().contains(text) {
            found.push(path);
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_purges_it_purges_the_rest_when_asked_again() {
    let with_short_leases = || server().env("GOSIGHT_ARCHIVE_LEASE", "1s");
    let mut server = with_short_leases().start();
    send(&server, &[]);
    assert_truth(&server.api(READ_KEY), &server.api(ADMIN_KEY)).await;
    archive_all(&server.api(READ_KEY), &server.api(ADMIN_KEY)).await;
    let truth = recordings::truth();
    let (purged, kept) = truth.split_at(2);
    for visitor in purged {
        let session = visitor["session_id"].as_str().unwrap();
        let archive = server.dir().join("archive");
        assert_eq!(paths_with(&archive, session).len(), 2, "an object and its manifest");
        server.stop();
        server = server.restart_as(with_short_leases().env("FAILPOINTS", "archive-objects-deleted=return"));
        assert!(!purge(&server, session), "it died");
        server.wait();
        server = server.restart_as(with_short_leases());
        wait_for("the purge", async || purge(&server, session).then_some(())).await;
        assert_eq!(paths_with(&archive, session), [] as [PathBuf; 0]);
        let api = server.api(READ_KEY);
        for path in ["replay", "replay/events"] {
            assert_eq!(api.get(&format!("/api/v1/sessions/{session}/{path}")).await.status, 404);
        }
        assert_eq!(api.get_json(&format!("/api/v1/sessions/{session}")).await["has_replay"], false);
    }
    for visitor in kept {
        check_replay(&server.api(READ_KEY), visitor).await;
    }
}
