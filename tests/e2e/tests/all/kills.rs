//! Nothing lost, nothing twice: kill the server while it works, and count.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gosight_e2e::{ADMIN_KEY, INGEST_KEY, READ_KEY, Server, ServerBuilder, ledger_sum, rounds};
use rand::RngExt;
use serde_json::json;
use tokio::task::JoinSet;

use gosight_e2e::load::{LOG, Sent, now_ms, reconcile, send_until};

const SENDERS: usize = 6;

/// Runs senders for a while, then gives what they sent.
async fn traffic(server: &Server, round: usize, time: Duration) -> (JoinSet<Sent>, Arc<AtomicBool>) {
    let stop = Arc::new(AtomicBool::new(false));
    let mut senders = JoinSet::new();
    for sender in 0..SENDERS {
        let (url, stop) = (server.url().to_owned(), stop.clone());
        // A session lives on over several rounds.
        let session = format!("session-{sender}-{}", round / 3);
        senders.spawn(async move { send_until(&url, &session, &stop).await });
    }
    tokio::time::sleep(time).await;
    (senders, stop)
}

async fn collect(mut senders: JoinSet<Sent>, stop: &AtomicBool, sent: &mut Sent) {
    stop.store(true, Ordering::Relaxed);
    while let Some(of_sender) = senders.join_next().await {
        sent.merge(of_sender.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_random_moments_nothing_is_lost_or_counted_twice() {
    let mut server = Server::start();
    let mut sent = Sent::default();
    for round in 0..rounds(25) {
        let time = Duration::from_millis(rand::rng().random_range(20..400));
        let (senders, stop) = traffic(&server, round, time).await;
        server = server.kill_and_restart();
        collect(senders, &stop, &mut sent).await;
    }
    assert!(sent.acknowledged.len() > 1_000, "only {} events got through", sent.acknowledged.len());
    reconcile(&server.api(READ_KEY), &server.api(ADMIN_KEY), &sent).await;
}

/// Points between two effects, each of which the server is killed at.
const KILL_POINTS: [&str; 6] = [
    "log-appended",
    "batch-handled",
    "batch-in-transaction",
    "batch-committed",
    "batch-marked",
    "offset-committed",
];

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_any_two_effects_nothing_is_lost_or_counted_twice() {
    let plain = ServerBuilder::default();
    let mut server = plain.clone().start();
    let mut sent = Sent::default();
    for (round, point) in KILL_POINTS.into_iter().cycle().take(2 * KILL_POINTS.len()).enumerate() {
        server.stop();
        // The first few times the point is passed, so that there is something to be lost.
        let passes = rand::rng().random_range(0..8);
        server = server.restart_as(plain.clone().env("FAILPOINTS", format!("{point}={passes}*off->return")));
        let (senders, stop) = traffic(&server, round, Duration::from_millis(50)).await;
        let status = server.wait();
        assert!(!status.success(), "{point} was not reached:\n{}", server.output());
        server = server.restart_as(plain.clone());
        collect(senders, &stop, &mut sent).await;
    }
    reconcile(&server.api(READ_KEY), &server.api(ADMIN_KEY), &sent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_was_acknowledged_is_there_after_a_kill() {
    let mut server = Server::start();
    for round in 0..5 {
        let user = format!("u-{round}");
        let line = json!({"profile": {"user_id": user, "properties": {"plan": round}}}).to_string();
        let answer = server.api(INGEST_KEY).post("/v1/ndjson", line).await;
        assert_eq!(answer.json()["accepted_count"], 1);
        server = server.kill_and_restart();
        let event = json!({"type": "order", "user_id": user, "session_id": user, "timestamp": now_ms()});
        assert_eq!(server.api(INGEST_KEY).post("/v1/ndjson", event.to_string()).await.status, 200);
        server.api(ADMIN_KEY).processed().await;
        let events = server.api(READ_KEY).get_json(&format!("/api/v1/sessions/{user}/events")).await;
        assert_eq!(events["events"][0]["context"]["user"], json!({"plan": round}), "{events}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_tail_of_the_log_is_cut_said_and_survived() {
    let server = Server::start();
    let mut sent = Sent::default();
    let (senders, stop) = traffic(&server, 0, Duration::from_millis(300)).await;
    collect(senders, &stop, &mut sent).await;
    let ledger = server.api(ADMIN_KEY).processed().await;
    let stored = ledger_sum(&ledger, LOG, "stored");
    let mut server = server;
    server.signal("KILL");
    server.wait();
    damage_tail(&server.dir().join("log"));
    let mut server = server.restart_as(ServerBuilder::default());
    assert!(server.output().contains("the tail was cut and kept"), "{}", server.output());
    // What was in the tail was processed before; what comes now must not be taken for it.
    let (senders, stop) = traffic(&server, 0, Duration::from_millis(300)).await;
    collect(senders, &stop, &mut sent).await;
    reconcile(&server.api(READ_KEY), &server.api(ADMIN_KEY), &sent).await;
    let ledger = server.api(ADMIN_KEY).processed().await;
    assert!(ledger_sum(&ledger, LOG, "stored") > stored);
    server = server.kill_and_restart();
    reconcile(&server.api(READ_KEY), &server.api(ADMIN_KEY), &sent).await;
}

/// Flips bits at the end of the log's latest journal, and adds garbage.
fn damage_tail(log: &std::path::Path) {
    let journals = std::fs::read_dir(log).unwrap().map(|entry| entry.unwrap().path());
    let mut journals: Vec<_> = journals.filter(|path| path.extension().is_some_and(|e| e == "jnl")).collect();
    journals.sort();
    let journal = journals.last().unwrap();
    let mut content = std::fs::read(journal).unwrap();
    let end = content.iter().rposition(|&byte| byte != 0).unwrap();
    for byte in &mut content[end - 500..end] {
        *byte ^= 0x5a;
    }
    content[end + 1..end + 8].copy_from_slice(b"garbage");
    std::fs::write(journal, content).unwrap();
}
